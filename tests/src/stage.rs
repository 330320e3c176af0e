//! Small searches and their course without faults, and a stage for faults: a namespace with simulated pods and an
//! operator behind a fault proxy.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};

use crate::cluster::{Cluster, HURRIED, cluster, runtime};
use crate::kubelet::{Act, Kubelet};
use crate::proxy::Proxy;
use crate::searches::{Searches, assert_sound, manifest, story};
use crate::supervisor::Supervisor;

/// How long a simulated pod runs.
pub const SHORT: Duration = Duration::from_millis(100);

/// A small search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Small {
    /// One trial at a time; the last is suggested from the results of the first four.
    Narrow,
    /// Two trials at a time.
    Wide,
}

impl Small {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Wide => "wide",
        }
    }

    /// The number of its trials.
    pub const TRIALS: usize = 5;

    /// Its manifest.
    pub fn manifest(self) -> Value {
        let changes = match self {
            Self::Narrow => json!({"maxTrials": 5, "algorithm": {"initialTrials": 4}}),
            Self::Wide => {
                json!({"maxTrials": 5, "parallelism": 2, "algorithm": {"initialTrials": 5}})
            }
        };
        manifest(self.name(), &changes)
    }

    /// Its ledger without faults; it is run once.
    pub fn story(self) -> Vec<String> {
        static STORIES: OnceLock<Mutex<BTreeMap<Small, Vec<String>>>> = OnceLock::new();
        let stories = STORIES.get_or_init(Mutex::default);
        let mut stories = stories.lock().unwrap_or_else(PoisonError::into_inner);
        let told = stories.entry(self).or_insert_with(|| {
            // The caller may be inside a runtime of its own.
            let run = || runtime().block_on(self.run_calmly());
            std::thread::scope(|threads| threads.spawn(run).join()).expect("it goes well")
        });
        told.clone()
    }

    async fn run_calmly(self) -> Vec<String> {
        let namespace = format!("calm-{}", self.name());
        let client = cluster().namespace(&namespace).await;
        let _kubelet = Kubelet::play(client.clone(), &namespace, SHORT, |_| Act::Succeed);
        let _operator = cluster().operator(&namespace, "a");
        let searches = Searches::of(&client, &namespace);
        searches.create(&self.manifest()).await.expect("valid");
        let status = searches.ended(self.name()).await;
        story(&status)
    }
}

/// A namespace with an operator behind a proxy.
pub struct Stage {
    /// The proxy, without faults at first.
    pub proxy: Proxy,
    /// The operator.
    pub operator: Supervisor,
    /// The searches, through the administrator's client.
    pub searches: Searches,
    cluster: &'static Cluster,
    _kubelet: Kubelet,
}

impl Stage {
    /// A stage with faults from the operator's first request on, whose pods succeed quickly.
    pub async fn set(name: &str, rules: &[crate::proxy::Rule]) -> Self {
        let client = cluster().namespace(name).await;
        let kubelet = Kubelet::play(client.clone(), name, SHORT, |_| Act::Succeed);
        Self::with(cluster(), (client, name), rules, kubelet, &[]).await
    }

    /// The same with reduced timeouts (`HURRIED`).
    pub async fn hurried(name: &str, rules: &[crate::proxy::Rule]) -> Self {
        let client = cluster().namespace(name).await;
        let kubelet = Kubelet::play(client.clone(), name, SHORT, |_| Act::Succeed);
        let scale = HURRIED.to_string();
        let environment = [("AUTOPEFT_PATIENCE_SCALE", scale.as_str())];
        Self::with(cluster(), (client, name), rules, kubelet, &environment).await
    }

    /// A stage in an existing namespace, with a kubelet of its own.
    pub async fn with(
        cluster: &'static Cluster,
        (client, name): (Client, &str),
        rules: &[crate::proxy::Rule],
        kubelet: Kubelet,
        environment: &[(&str, &str)],
    ) -> Self {
        let proxy = Proxy::before(cluster, name).await;
        proxy.begin(rules);
        let mut launch = cluster.launch(name, "a").by(proxy.kubeconfig());
        for (variable, value) in environment {
            launch = launch.with(variable, value);
        }
        let operator = Supervisor::of(launch);
        proxy.aim_at(operator.victim());
        Self {
            proxy,
            operator,
            searches: Searches::of(&client, name),
            cluster,
            _kubelet: kubelet,
        }
    }

    /// Creates a small search.
    pub async fn begin(&self, search: Small) {
        self.searches
            .create(&search.manifest())
            .await
            .expect("valid");
    }

    /// Waits for a small search's end, and compares it with the course without faults: the same ledger, and no extra
    /// attempt.
    pub async fn ends_well(&self, search: Small) {
        let name = search.name();
        let status = self.searches.ended(name).await;
        let attempts: Vec<(u32, u32)> = status
            .ledger
            .iter()
            .map(|entry| (entry.attempt, entry.failed_attempts))
            .collect();
        assert_eq!(attempts, [(1, 0); Small::TRIALS], "{name}: wasted attempts");
        assert_eq!(story(&status), search.story(), "{name}");
        assert_sound(&self.searches.get(name).await, &self.cluster.audit);
    }
}
