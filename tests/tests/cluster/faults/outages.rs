//! An API server outage and revoked permissions, in a cluster of their own.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use autopeft_integration_tests::audit_log;
use autopeft_integration_tests::cluster::{Cluster, runtime, within};
use autopeft_integration_tests::helm;
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::proxy::{Change, Effect, Rule, Verb, When};
use autopeft_integration_tests::searches::{Searches, assert_sound};
use autopeft_integration_tests::stage::{SHORT, Stage};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::LIMIT;

/// The cluster of these tests, one at a time.
fn fragile() -> (&'static Cluster, MutexGuard<'static, ()>) {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (CLUSTER.get_or_init(|| Cluster::up_as("fragile")), turn)
}

/// Rows 11 and 12: the API server is down for longer than a lease, and etcd is compacted beyond the watches' versions.
#[test]
fn an_api_server_outage_with_a_compaction_only_delays_a_search() {
    let (cluster, _turn) = fragile();
    runtime().block_on(async {
        let client = cluster.namespace("away").await;
        let _kubelet = Kubelet::play(client.clone(), "away", SHORT * 10, |_| Act::Succeed);
        let mut operator = cluster.operator("away", "a");
        let searches = Searches::of(&client, "away");
        let wide = json!({"parallelism": 2, "maxTrials": 6, "algorithm": {"initialTrials": 6}});
        searches.submit("one", &wide).await;
        searches.finished("one", 1).await;
        let lists = || asked(cluster, "away", "list", "jobs");
        let before = lists();

        cluster.verb(&["kill", "kube-apiserver"]);
        compact(cluster);
        tokio::time::sleep(Duration::from_secs(18)).await;
        assert!(
            !operator.has_ended(),
            "an operator waits for its API server"
        );
        let writes = || asked(cluster, "away", "update", "peftsearches");
        let known = writes();
        // An operator that is started meanwhile waits too.
        let mut second = cluster.operator("away", "b");
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.verb(&["restart-apiserver"]);

        // Not the next result: the Job controller, too, was without an API server, and pauses longer.
        let back = Instant::now();
        within(LIMIT, "the search continues", async || writes() > known).await;
        let resumed = back.elapsed();
        assert!(
            resumed < Duration::from_secs(30),
            "it went on after {resumed:?}"
        );
        let status = searches.ended("one").await;
        let attempts: Vec<u32> = status.ledger.iter().map(|entry| entry.attempt).collect();
        assert_eq!(attempts, [1; 6], "what ran has survived");
        assert!(lists() > before, "what etcd has forgotten is listed anew");
        assert!(!second.has_ended(), "{}", second.log());
        assert_sound(&searches.get("one").await, &cluster.audit);
    });
}

/// Makes etcd forget every version but the last.
fn compact(cluster: &Cluster) {
    let endpoint = cluster.state("etcd-address");
    let etcdctl = |words: &[&str]| {
        let program = Path::new(&cluster.state("programs")).join("etcdctl");
        let mut command = std::process::Command::new(program);
        command.args(["--endpoints", &endpoint]).args(words);
        helm::run(&mut command)
    };
    let status = etcdctl(&["endpoint", "status", "--write-out", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let revision = status[0]["Status"]["header"]["revision"].to_string();
    etcdctl(&["compact", &revision]);
}

/// The number of the operator's requests of a kind, whatever the response.
fn asked(cluster: &Cluster, namespace: &str, verb: &str, resource: &str) -> usize {
    let events = audit_log::of_namespace(&cluster.audit, namespace);
    let of = events.iter().filter(|event| {
        event["stage"] == "ResponseComplete"
            && event["user"]["username"] == "operator"
            && event["verb"] == verb
            && event["objectRef"]["resource"] == resource
    });
    of.count()
}

/// Row 14: the permission to watch pods is revoked while a search runs.
#[test]
fn without_the_permission_to_watch_pods_searches_continue() {
    let (cluster, _turn) = fragile();
    runtime().block_on(async {
        let client = cluster.namespace("forbidden").await;
        let kubelet = Kubelet::play(client.clone(), "forbidden", SHORT, |_| Act::Succeed);
        // Its first watch of pods ends soon; the next is the API server's to refuse.
        let cut = Rule::on(
            Verb::Watch,
            "pods",
            When::only(0),
            Effect::Events(Change::Cut(8)),
        );
        let stage = (client.clone(), "forbidden");
        let stage = Stage::with(cluster, stage, &[cut], kubelet, &[]).await;
        let searches = &stage.searches;
        let few = json!({"maxTrials": 6, "algorithm": {"initialTrials": 6}});
        searches.submit("one", &few).await;
        searches.finished("one", 1).await;
        let roles: Api<ClusterRole> = Api::all(client);
        let role = roles.get("autopeft-operator").await.expect("the role");
        let mut fewer = role.clone();
        for rule in fewer.rules.iter_mut().flatten() {
            if rule
                .resources
                .iter()
                .flatten()
                .any(|resource| resource == "pods")
            {
                rule.verbs.retain(|verb| verb != "watch");
            }
        }
        let replace = async |role: &ClusterRole| {
            let patch = Patch::Merge(json!({"rules": role.rules}));
            let parameters = PatchParams::default();
            roles
                .patch("autopeft-operator", &parameters, &patch)
                .await
                .expect("a role");
        };
        replace(&fewer).await;
        let refused = || asked(cluster, "forbidden", "watch", "pods");
        let before = refused();
        within(LIMIT, "the watch is refused", async || {
            refused() > before + 1
        })
        .await;
        searches.finished("one", 3).await;
        let other = json!({"maxTrials": 2, "algorithm": {"initialTrials": 2}});
        searches.submit("two", &other).await;
        searches.ended("two").await;
        let tries = refused();
        replace(&role).await;
        let status = searches.ended("one").await;
        let attempts: Vec<u32> = status.ledger.iter().map(|entry| entry.attempt).collect();
        assert_eq!(attempts, [1; 6]);
        // A pause that doubles: no more than a few dozen tries, however long the trials took.
        assert!(tries - before < 40, "{} tries", tries - before);
        searches.is_clean().await;
        for name in ["one", "two"] {
            assert_sound(&searches.get(name).await, &cluster.audit);
        }
    });
}
