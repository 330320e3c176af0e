//! A cluster of the api size for a test program, and the operator as a process beside it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use autopeft_crds::PeftSearch;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use crate::programs::program;

/// What the operator may do: as the chart has it, in every namespace.
const OPERATOR: &str = "operator";

/// The share of its usual patience that a hurried operator has.
pub const HURRIED: f64 = 0.25;

/// A control plane that ends with this process.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// The API server's audit log: who wrote what.
    pub audit: PathBuf,
    name: String,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/cluster.sh")
}

/// Runs a verb of tests/cluster/cluster.sh and gives what it prints.
pub fn cluster_sh(arguments: &[&str]) -> String {
    let output = Command::new(script())
        .args(arguments)
        .env_remove("KUBECONFIG")
        .stderr(Stdio::inherit())
        .output()
        .expect("cluster.sh starts");
    assert!(
        output.status.success(),
        "cluster.sh {} ended with {}",
        arguments.join(" "),
        output.status
    );
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .into()
}

/// The cluster of this test program, brought up when it is first asked for.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::up)
}

impl Cluster {
    fn up() -> Self {
        Self::up_as("test")
    }

    /// A control plane beside that of the test program, for what breaks one.
    pub fn up_as(kind: &str) -> Self {
        let own = std::process::id().to_string();
        let name = format!("{kind}-{own}");
        let printed = cluster_sh(&[
            "up",
            "--size",
            "api",
            "--name",
            &name,
            "--owner",
            &own,
            "--with",
            "kube-controller-manager",
            "--user",
            OPERATOR,
        ]);
        let kubeconfig = PathBuf::from(printed);
        let state = kubeconfig.parent().expect("the state folder").to_path_buf();
        let cluster = Self {
            audit: state.join("audit.log"),
            kubeconfig,
            name,
        };
        // A test may ask from inside its own runtime.
        std::thread::scope(|threads| {
            threads.spawn(|| runtime().block_on(cluster.prepare()));
        });
        cluster
    }

    /// The CRD, and the operator's rights.
    async fn prepare(&self) {
        let client = self.client().await;
        let crd = autopeft_operator::crd_yaml().expect("the CRD");
        apply(
            &client,
            &crd,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        )
        .await;
        let rights = include_str!("../cluster/operator-rights.yaml");
        for document in rights.split("\n---\n") {
            let kind: Value = serde_saphyr::from_str(document).expect("YAML");
            let folder = match kind["kind"].as_str() {
                Some("ClusterRole") => "clusterroles",
                _ => "clusterrolebindings",
            };
            apply(
                &client,
                document,
                &format!("/apis/rbac.authorization.k8s.io/v1/{folder}"),
            )
            .await;
        }
        let searches: Api<PeftSearch> = Api::all(client);
        eventually("the CRD is served", async || {
            searches
                .list(&kube::api::ListParams::default())
                .await
                .is_ok()
        })
        .await;
    }

    /// A client with every right.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("a client")
    }

    /// What such a client is made of.
    pub async fn config(&self) -> Config {
        config_of(&self.kubeconfig).await
    }

    /// What a file of its state folder says, such as `etcd-address`.
    pub fn state(&self, file: &str) -> String {
        let path = self.kubeconfig.with_file_name(file);
        let text = std::fs::read_to_string(path).expect("a file of the state folder");
        text.trim().into()
    }

    /// A verb of cluster.sh for this cluster, such as `["stop", "etcd"]`.
    pub fn verb(&self, words: &[&str]) -> String {
        let mut arguments = words.to_vec();
        arguments.extend(["--name", &self.name]);
        cluster_sh(&arguments)
    }

    /// A namespace of its own for a test.
    pub async fn namespace(&self, name: &str) -> Client {
        let client = self.client().await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name}})).expect("a namespace");
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .expect("the namespace is new");
        client
    }

    /// The kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubeconfig of the operator's user.
    pub fn operator_kubeconfig(&self) -> PathBuf {
        let name = format!("kubeconfig-{OPERATOR}");
        self.kubeconfig.with_file_name(name)
    }

    /// Starts an operator for one namespace. Its log goes to a file that a failing test prints.
    pub fn operator(&self, namespace: &str, replica: &str) -> Operator {
        self.launch(namespace, replica).start()
    }

    /// How an operator for one namespace is started.
    pub fn launch(&self, namespace: &str, replica: &str) -> Launch {
        Launch {
            namespace: namespace.into(),
            replica: replica.into(),
            kubeconfig: self.operator_kubeconfig(),
            environment: Vec::new(),
            log_format: "text",
            lease_namespace: namespace.into(),
            is_everywhere: false,
        }
    }
}

/// How an operator is started, as often as need be.
#[derive(Clone, Debug)]
pub struct Launch {
    namespace: String,
    replica: String,
    kubeconfig: PathBuf,
    environment: Vec<(String, String)>,
    log_format: &'static str,
    lease_namespace: String,
    is_everywhere: bool,
}

impl Launch {
    /// It goes to the API server by this kubeconfig.
    pub fn by(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = kubeconfig.into();
        self
    }

    /// It has this variable in its environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// It waits for everything a quarter as long as it does by default: what a test that waits for the operator's
    /// patience measures is scaled by `HURRIED` too.
    pub fn hurried(self) -> Self {
        self.with("AUTOPEFT_PATIENCE_SCALE", &HURRIED.to_string())
    }

    /// Its log is one JSON object a line.
    pub fn in_json(mut self) -> Self {
        self.log_format = "json";
        self
    }

    /// Its Lease is in this namespace.
    pub fn lease_in(mut self, namespace: &str) -> Self {
        self.lease_namespace = namespace.into();
        self
    }

    /// It looks after every namespace.
    pub fn everywhere(mut self) -> Self {
        self.is_everywhere = true;
        self
    }

    /// Starts it.
    pub fn start(&self) -> Operator {
        let (namespace, replica) = (&self.namespace, &self.replica);
        let folder = std::env::temp_dir().join(format!("autopeft-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for logs");
        let log = folder.join(format!("{namespace}-{replica}.log"));
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log");
        let begins = file.metadata().expect("a log").len();
        let child = Command::new(program("peft-operator"))
            .args(["controller", "--lease-namespace", &self.lease_namespace])
            .args((!self.is_everywhere).then_some(format!("--namespace={namespace}")))
            .args([
                "--identity",
                replica,
                "--trainer-image",
                "localhost/trainer:test",
            ])
            .args(["--address", "127.0.0.1:0"])
            .args(["--log-format", self.log_format])
            .env("KUBECONFIG", &self.kubeconfig)
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the operator starts");
        Operator { child, log, begins }
    }
}

/// An operator as a process; killed when it is dropped.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    log: PathBuf,
    /// Where in the log its own life begins.
    begins: u64,
}

impl Operator {
    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Any signal, by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "the operator is gone");
    }

    /// The number behind a metric's name and labels; 0 where it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics");
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        let value = values.next().and_then(|rest| rest.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Waits for its end, for a minute at most.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.end().is_some()
    }

    /// How it has ended, where it has.
    pub fn end(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Where it serves metrics and health: the port that it says it has got, once it says so.
    pub fn port(&self) -> Option<u16> {
        let log = self.log();
        let begins = usize::try_from(self.begins).expect("a short log");
        let (_, rest) = log.get(begins..)?.split_once("health at 127.0.0.1:")?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
        rest[..end].parse().ok()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it says that it leads.
    pub fn leads(&self) -> bool {
        let metrics = self.get("/metrics");
        metrics.lines().any(|line| line == "autopeft_leader 1")
    }

    /// The text behind a path, such as `/metrics`.
    pub fn get(&self, path: &str) -> String {
        let Some(port) = self.port() else {
            return String::new();
        };
        let url = format!("http://127.0.0.1:{port}{path}");
        let output = Command::new("curl")
            .args(["-s", "--max-time", "5", &url])
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

/// A client for the user of a kubeconfig.
pub async fn client_of(kubeconfig: &Path) -> Client {
    Client::try_from(config_of(kubeconfig).await).expect("a client")
}

async fn config_of(kubeconfig: &Path) -> Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a client's configuration")
}

/// Applies a manifest of one object.
pub async fn apply(client: &Client, yaml: &str, folder: &str) {
    let object: Value = serde_saphyr::from_str(yaml).expect("YAML");
    let name = object["metadata"]["name"].as_str().expect("a name");
    let parameters = PatchParams::apply("autopeft-tests").force();
    let request = kube::core::Request::new(folder)
        .patch(name, &parameters, &Patch::Apply(&object))
        .expect("a request");
    client
        .request::<Value>(request)
        .await
        .expect("the manifest is accepted");
}

/// A runtime for a test.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Waits until something holds, for a minute at most.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    within(Duration::from_secs(60), what, holds).await;
}

/// Waits until something holds, for `limit` at most.
pub async fn within(limit: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < limit, "after {limit:?} not yet: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
