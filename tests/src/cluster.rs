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

/// The operator's permissions, as in the chart, in every namespace.
const OPERATOR: &str = "operator";

/// The scale of a hurried operator's timeouts.
pub const HURRIED: f64 = 0.25;

/// A control plane that ends with this process.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// The API server's audit log.
    pub audit: PathBuf,
    name: String,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/cluster.sh")
}

/// Runs a verb of tests/cluster/cluster.sh and returns its output.
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

/// The cluster of this test program, brought up at its first use.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::up)
}

impl Cluster {
    fn up() -> Self {
        Self::up_as("test")
    }

    /// A control plane of its own, for tests that break it.
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
        // The caller may be inside a runtime of its own.
        std::thread::scope(|threads| {
            threads.spawn(|| runtime().block_on(cluster.prepare()));
        });
        cluster
    }

    /// Installs the CRD and the operator's permissions.
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

    /// The administrator's client.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("a client")
    }

    /// The administrator's configuration.
    pub async fn config(&self) -> Config {
        config_of(&self.kubeconfig).await
    }

    /// The content of a file of its state folder, such as `etcd-address`.
    pub fn state(&self, file: &str) -> String {
        let path = self.kubeconfig.with_file_name(file);
        let text = std::fs::read_to_string(path).expect("a file of the state folder");
        text.trim().into()
    }

    /// Runs a verb of cluster.sh for this cluster, such as `["stop", "etcd"]`.
    pub fn verb(&self, words: &[&str]) -> String {
        let mut arguments = words.to_vec();
        arguments.extend(["--name", &self.name]);
        cluster_sh(&arguments)
    }

    /// Creates a namespace for a test.
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

    /// The launch of an operator for one namespace.
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

/// The launch of an operator, which may be repeated.
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
    /// Sets its kubeconfig.
    pub fn by(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = kubeconfig.into();
        self
    }

    /// Sets a variable of its environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Reduces all its timeouts to a quarter; a test that measures them scales its assertions by `HURRIED`.
    pub fn hurried(self) -> Self {
        self.with("AUTOPEFT_PATIENCE_SCALE", &HURRIED.to_string())
    }

    /// Sets the log format to JSON.
    pub fn in_json(mut self) -> Self {
        self.log_format = "json";
        self
    }

    /// Sets the namespace of its Lease.
    pub fn lease_in(mut self, namespace: &str) -> Self {
        self.lease_namespace = namespace.into();
        self
    }

    /// Lets it watch every namespace.
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
    /// The offset in the log at which this process starts.
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

    /// The value of a metric, given with its labels; 0 if there is none.
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
            assert!(
                begun.elapsed() < Duration::from_secs(180),
                "it does not end"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.end().is_some()
    }

    /// Its exit status, if it has ended.
    pub fn end(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// The port of metrics and health checks, once it is logged.
    pub fn port(&self) -> Option<u16> {
        let log = self.log();
        let begins = usize::try_from(self.begins).expect("a short log");
        let (_, rest) = log.get(begins..)?.split_once("health at 127.0.0.1:")?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
        rest[..end].parse().ok()
    }

    /// Its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        let metrics = self.get("/metrics");
        metrics.lines().any(|line| line == "autopeft_leader 1")
    }

    /// The body of a path, such as `/metrics`.
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
        // It may have already ended.
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

/// Waits until something holds, with a limit for a busy machine.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    within(Duration::from_secs(180), what, holds).await;
}

/// Waits until something holds, for `limit` at most.
pub async fn within(limit: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
