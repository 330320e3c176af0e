//! Direct access to etcd.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cluster::Cluster;

/// A cluster's etcd.
#[derive(Clone, Debug)]
pub struct Etcd {
    program: PathBuf,
    address: String,
}

/// The key of a search.
pub fn key_of_search(namespace: &str, name: &str) -> String {
    format!("/registry/autopeft.dev/peftsearches/{namespace}/{name}")
}

impl Etcd {
    /// The etcd of a cluster.
    pub fn of(cluster: &Cluster) -> Self {
        let read = |name: &str| {
            let file = cluster.kubeconfig().with_file_name(name);
            let text = std::fs::read_to_string(file).expect("the cluster's state");
            text.trim().to_owned()
        };
        Self {
            program: PathBuf::from(read("programs")).join("etcdctl"),
            address: read("etcd-address"),
        }
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new(&self.program)
            .args(["--endpoints", &self.address])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("etcdctl starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(input).expect("etcdctl reads");
        drop(pipe);
        let output = child.wait_with_output().expect("etcdctl ends");
        assert!(output.status.success(), "etcdctl {arguments:?} failed");
        output.stdout
    }

    /// Reads a stored custom resource.
    pub fn get(&self, key: &str) -> Value {
        let text = self.run(&["get", "--print-value-only", key], b"");
        serde_json::from_slice(&text).expect("custom resources are stored as JSON")
    }

    /// Stores a custom resource without validation.
    pub fn put(&self, key: &str, object: &Value) {
        self.run(&["put", key], object.to_string().as_bytes());
    }

    /// The keys of all values that contain a text.
    pub fn keys_holding(&self, text: &str) -> Vec<String> {
        let all = self.run(&["get", "/registry/", "--prefix"], b"");
        let mut key = String::new();
        let mut found = Vec::new();
        for line in all.split(|byte| *byte == b'\n') {
            if line.starts_with(b"/registry/") {
                key = String::from_utf8_lossy(line).into_owned();
            }
            let holds = line.windows(text.len()).any(|part| part == text.as_bytes());
            if holds && found.last() != Some(&key) {
                found.push(key.clone());
            }
        }
        found
    }
}
