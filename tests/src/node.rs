//! A cluster of the node size for a test program: a real kubelet that runs the images that
//! charts/images makes, and a trainer's image that misbehaves on demand (tests/cluster/actor.c).

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use autopeft_crds::PeftSearch;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::cluster::{client_of, cluster_sh, eventually, within};
use crate::generated::root;
use crate::helm::{helm, run, said};
use crate::searches::{self, Searches};

/// The image of the simulated trainer.
pub const ACTOR: &str = "localhost/actor:1";

/// The timeout on a busy machine for what otherwise takes seconds.
pub const LONG: std::time::Duration = std::time::Duration::from_secs(240);

/// A node that ends with this process.
#[derive(Debug)]
pub struct Node {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    name: String,
    /// Whether the CRD is installed. Locked while a chart is installed.
    has_crd: Mutex<bool>,
}

/// Prints a line that is visible whether or not the test passes.
pub fn tell(text: &str) {
    // The harness captures `eprintln!`.
    writeln!(std::io::stderr(), "{text}").expect("standard error is open");
}

/// The node of this test program, brought up at its first use. `None`, and a line that says so, without root.
pub fn node() -> Option<&'static Node> {
    static NODE: OnceLock<Option<Node>> = OnceLock::new();
    NODE.get_or_init(|| {
        let user = std::fs::metadata("/proc/self").expect("/proc").uid();
        if user != 0 {
            tell("SKIPPED: the tests on a real kubelet (tests/tests/node) need root");
            return None;
        }
        Some(Node::up())
    })
    .as_ref()
}

/// An image of the project as an archive, with the tests' programs; rebuilt if its inputs have changed.
pub fn archive(image: &str) -> PathBuf {
    let file = root().join(format!("target/images/dev/{image}.oci"));
    run(Command::new(root().join("charts/images/images.sh"))
        .env("PROFILE", "dev")
        .arg(image)
        .arg(&file));
    file
}

impl Node {
    fn up() -> Self {
        let own = std::process::id().to_string();
        let name = format!("node-{own}");
        let up = [
            "up", "--size", "node", "--name", &name, "--owner", &own, "--gpus", "2",
        ];
        let node = Self {
            kubeconfig: cluster_sh(&up).into(),
            kubectl: Path::new(&cluster_sh(&["build", "kubernetes"])).join("kubectl"),
            name,
            has_crd: Mutex::new(false),
        };
        node.load(&archive("operator"));
        node.load(&node.actor());
        node
    }

    /// Compiles the actor and packs its image.
    fn actor(&self) -> PathBuf {
        let (program, file) = (self.state().join("actor"), self.state().join("actor.oci"));
        let source = root().join("tests/cluster/actor.c");
        let flags = ["-O1", "-static", "-Wall", "-Wextra", "-Werror", "-o"];
        run(Command::new("gcc").args(flags).arg(&program).arg(source));
        let (program, archive) = (program.to_string_lossy(), file.to_string_lossy());
        cluster_sh(&["image", &program, ACTOR, &archive]);
        file
    }

    /// The folder of the cluster's files.
    pub fn state(&self) -> &Path {
        self.kubeconfig.parent().expect("the state folder")
    }

    /// The API server's audit log.
    pub fn audit(&self) -> PathBuf {
        self.state().join("audit.log")
    }

    /// Loads an image archive into the node.
    pub fn load(&self, archive: &Path) {
        let file = archive.to_string_lossy();
        cluster_sh(&["load-image", &file, "--name", &self.name]);
    }

    /// Loads the actor into the node under another name.
    pub fn load_actor_as(&self, name: &str) {
        self.load_program_as("actor", name);
    }

    /// Loads an image whose program is not executable.
    pub fn load_broken_as(&self, name: &str) {
        let program = self.state().join("broken");
        std::fs::write(&program, [0_u8; 64]).expect("a file");
        let unexecutable = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&program, unexecutable).expect("its mode can be set");
        self.load_program_as("broken", name);
    }

    fn load_program_as(&self, program: &str, name: &str) {
        let file = self.state().join(format!("another-{program}.oci"));
        let program = self.state().join(program);
        let (program, archive) = (program.to_string_lossy(), file.to_string_lossy());
        cluster_sh(&["image", &program, name, &archive]);
        self.load(&file);
    }

    /// The administrator's client.
    pub async fn client(&self) -> Client {
        client_of(&self.kubeconfig).await
    }

    /// Runs kubectl with this standard input.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(&self.kubectl)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        // It may exit without reading.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        child.wait_with_output().expect("kubectl ends")
    }

    /// Runs kubectl, which must succeed, and returns its output.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.kubectl_with(arguments, "");
        let text = said(&output);
        assert!(output.status.success(), "kubectl {arguments:?}: {text}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// `kubectl apply` of one object.
    pub fn apply(&self, namespace: &str, object: &Value) {
        let output = self.kubectl_with(&["apply", "-n", namespace, "-f", "-"], &object.to_string());
        assert!(output.status.success(), "{object}: {}", said(&output));
    }

    /// Creates a namespace that enforces the restricted profile.
    pub fn namespace(&self, name: &str) {
        self.kubectl(&["create", "namespace", name]);
        let profile = "pod-security.kubernetes.io/enforce=restricted";
        self.kubectl(&["label", "namespace", name, profile]);
        // Until it exists, pods are rejected.
        let account = ["serviceaccount/default", "-n", name, "--timeout=60s"];
        self.kubectl(&[&["wait", "--for=create"], &account[..]].concat());
    }

    /// Installs the chart into a namespace, with these values, and waits until the operator leads.
    pub fn install(&self, namespace: &str, values: &[&str]) {
        let mut has_crd = self.has_crd.lock().expect("no installation has failed");
        let install = format!("crds.install={}", !*has_crd);
        // All tests share the node's two cores.
        let own = [&install, "resources.requests.cpu=10m"];
        self.release(&["install"], namespace, &[&own, values].concat());
        *has_crd = true;
    }

    /// Upgrades the release of a namespace to these values, and waits until its new pod is ready.
    pub fn upgrade(&self, namespace: &str, values: &[&str]) {
        self.release(&["upgrade", "--reset-then-reuse-values"], namespace, values);
    }

    /// Runs Helm on the chart in a namespace, with these values, and waits until its pods are ready.
    fn release(&self, verb: &[&str], namespace: &str, values: &[&str]) {
        let mut command = helm();
        command
            .args(verb)
            .args(["autopeft", "charts/autopeft", "-n", namespace])
            .args(["--wait", "--timeout", "3m"])
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(root());
        for value in values {
            command.args(["--set", value]);
        }
        run(&mut command);
    }

    /// A restricted namespace with an operator in it; returns its searches.
    pub async fn with_operator(&self, namespace: &str) -> Searches {
        self.namespace(namespace);
        self.install(namespace, &[]);
        Searches::of(&self.client().await, namespace)
    }

    /// The PIDs of a pod's processes, without pause.
    pub fn processes(&self, pod: &Pod) -> Vec<u32> {
        let mark = format!("pod{}", pod.uid().expect("a UID"));
        let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        // A process that ends meanwhile has no files.
        let read =
            |number: u32, file: &str| std::fs::read_to_string(format!("/proc/{number}/{file}"));
        numbers
            .filter(|number| read(*number, "cgroup").is_ok_and(|text| text.contains(&mark)))
            .filter(|number| read(*number, "cmdline").is_ok_and(|text| !text.starts_with("/pause")))
            .collect()
    }
}

/// A search whose trainer is the actor, with this script. `changes` are merged into its spec.
fn acted(name: &str, part: &str, changes: &Value) -> Value {
    let source = json!({"claim": null, "hub": {"repository": "tests/actor", "revision": part}});
    let mut spec = json!({
        "model": {"source": source},
        "task": {"source": source},
        "trainer": {
            "image": ACTOR,
            "resources": {"cpu": "50m", "memory": "32Mi", "ephemeralStorage": "16Mi"},
        },
    });
    searches::merge(&mut spec, changes);
    searches::manifest(name, &spec)
}

/// Waiting, for tests on a real kubelet.
impl Searches {
    /// Creates a search whose trainer is the actor.
    pub async fn begin(&self, name: &str, part: &str, changes: &Value) {
        let manifest = acted(name, part, changes);
        self.create(&manifest).await.expect("it is valid");
    }

    /// The pods of trials and inspections.
    pub async fn pods(&self) -> Vec<Pod> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        api.list(&ours()).await.expect("pods can be listed").items
    }

    /// Their Jobs.
    pub async fn jobs(&self) -> Vec<Job> {
        let api: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        api.list(&ours()).await.expect("Jobs can be listed").items
    }

    /// The running pod of a trial's attempt, when it runs.
    pub async fn running(&self, search: &str, trial: u32, attempt: u32) -> Pod {
        let found = async || {
            let pods = self.pods().await;
            pods.into_iter().find(|pod| {
                let label = |name: &str| pod.labels().get(&format!("autopeft.dev/{name}")).cloned();
                label("search").as_deref() == Some(search)
                    && label("trial") == Some(trial.to_string())
                    && label("attempt") == Some(attempt.to_string())
                    && is_in_phase(pod, "Running")
            })
        };
        let what = format!("attempt {attempt} of trial {trial} of {search} runs");
        within(LONG, &what, async || found().await.is_some()).await;
        found().await.expect("it ran a moment ago")
    }

    /// Waits for its end, with a timeout for a busy machine; returns the object.
    pub async fn over(&self, name: &str) -> PeftSearch {
        within(LONG, &format!("{name} has ended"), async || {
            self.status(name).await.completion_time.is_some()
        })
        .await;
        self.get(name).await
    }

    /// Waits until a search is degraded for this reason; returns the message.
    pub async fn degraded(&self, name: &str, reason: &str) -> String {
        within(LONG, &format!("{name} says {reason}"), async || {
            self.condition(name, "Degraded").await == ("True".into(), reason.into())
        })
        .await;
        let status = self.status(name).await;
        let mut conditions = status.conditions.into_iter();
        let degraded = conditions.find(|condition| condition.type_ == "Degraded");
        degraded
            .map(|condition| condition.message)
            .unwrap_or_default()
    }

    /// Waits until no Job and no pod of any search is left.
    pub async fn left_nothing(&self) {
        eventually("no Job and no pod of a search is left", async || {
            self.jobs().await.is_empty() && self.pods().await.is_empty()
        })
        .await;
    }
}

/// Whether a pod is in this phase.
pub fn is_in_phase(pod: &Pod, phase: &str) -> bool {
    let status = pod.status.as_ref();
    status.and_then(|status| status.phase.as_deref()) == Some(phase)
}

fn ours() -> ListParams {
    ListParams::default().labels("app.kubernetes.io/managed-by=autopeft")
}
