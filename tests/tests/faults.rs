//! What becomes of searches when the network and the API server fail the operator: between the two
//! stands the fault proxy (tests/src/proxy). Rows are those of docs/faults.md.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use autopeft_integration_tests::audit::{assert_quiet, written};
use autopeft_integration_tests::calm::{SHORT, Small, Stage};
use autopeft_integration_tests::cluster::{Cluster, cluster, cluster_sh, runtime, within};
use autopeft_integration_tests::helm;
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::proxy::{Change, Effect, Proxy, Rule, Verb, When};
use autopeft_integration_tests::searches::{Searches, assert_sound, manifest};
use autopeft_operator::controller::names::{Purpose, job_name};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

/// The longest that a test waits for one thing.
const LIMIT: Duration = Duration::from_secs(60);
const WATCHED: [&str; 3] = ["peftsearches", "jobs", "pods"];

fn on_watches(when: When, change: Change) -> Vec<Rule> {
    let rule = |resource| Rule::on(Verb::Watch, resource, when, Effect::Events(change));
    WATCHED.map(rule).to_vec()
}

/// Row 6.
#[test]
fn what_was_done_and_never_answered_is_found_done() {
    runtime().block_on(async {
        let stage = async |name: &str, effect: Effect| {
            let twice = When::Nth { first: 1, times: 2 };
            let rules = [
                Rule::on(Verb::Create, "jobs", twice, effect),
                Rule::on(Verb::Update, "peftsearches/status", twice, effect),
                Rule::on(Verb::Patch, "pods", twice, effect),
                Rule::on(Verb::Delete, "jobs", twice, effect),
            ];
            let stage = Stage::set(name, &rules).await;
            stage.begin(Small::Narrow).await;
            stage.begin(Small::Wide).await;
            stage.ends_well(Small::Narrow).await;
            stage.ends_well(Small::Wide).await;
            assert_eq!(stage.proxy.struck(), [2, 2, 2, 2]);
            assert_eq!(stage.operator.restarts(), 0);
        };
        tokio::join!(
            stage("lost-replies", Effect::LoseReply),
            stage("gateway", Effect::AnswerAfter(504)),
        );
    });
}

/// Row 7: after a restart, and after a relist that another, older API server answers.
#[test]
fn an_old_list_starts_nothing_twice() {
    runtime().block_on(async {
        let old = |first| {
            let mut rules = Vec::new();
            for resource in WATCHED {
                let when = When::only(first);
                rules.push(Rule::on(Verb::List, resource, when, Effect::OldList));
                let late = Effect::Events(Change::Lag(SHORT * 40));
                rules.push(Rule::on(Verb::Watch, resource, when, late));
            }
            rules
        };
        let restarted = async {
            let mut rules = vec![
                Rule::on(Verb::Create, "jobs", When::only(2), Effect::Keep),
                Rule::on(Verb::Create, "jobs", When::only(4), Effect::KillAfter),
            ];
            rules.extend(old(1));
            let stage = Stage::set("old-restart", &rules).await;
            stage.begin(Small::Narrow).await;
            stage.ends_well(Small::Narrow).await;
            assert_eq!(stage.proxy.struck(), [1; 8]);
            assert_eq!(stage.operator.restarts(), 1);
            // I9.
            stage.searches.delete("narrow").await;
            stage.searches.is_clean().await;
        };
        let relisted = async {
            let mut rules = vec![Rule::on(Verb::Create, "jobs", When::only(2), Effect::Keep)];
            let come = Change::Missed {
                come: 12,
                time: Duration::ZERO,
            };
            for resource in WATCHED {
                let event = Effect::Events(come);
                rules.push(Rule::on(Verb::Watch, resource, When::only(0), event));
            }
            rules.extend(old(1));
            let stage = Stage::set("old-relist", &rules).await;
            stage.begin(Small::Wide).await;
            stage.ends_well(Small::Wide).await;
            assert!(stage.proxy.struck().iter().all(|struck| *struck == 1));
            assert_eq!(stage.operator.restarts(), 0);
        };
        tokio::join!(restarted, relisted);
    });
}

/// Row 8.
#[test]
fn what_the_operator_has_written_and_does_not_see_yet_is_not_written_again() {
    runtime().block_on(async {
        let late = on_watches(When::always(), Change::Lag(SHORT * 15));
        let stage = Stage::set("late", &late).await;
        stage.begin(Small::Narrow).await;
        stage.begin(Small::Wide).await;
        stage.ends_well(Small::Narrow).await;
        stage.ends_well(Small::Wide).await;
        stage.searches.is_clean().await;
        assert_quiet(&cluster().audit, "late").await;
        assert!(stage.proxy.all_struck(), "{:?}", stage.proxy);
    });
}

/// Rows 8 and 18: a Job that was created and deleted before its creation was seen.
#[test]
fn a_job_that_was_gone_before_it_was_seen_is_lost_and_not_waited_for() {
    runtime().block_on(async {
        let name = "unseen";
        let client = cluster().namespace(name).await;
        let kubelet = Kubelet::play(client.clone(), name, SHORT * 10, |request| {
            match (request.identity.trial, request.identity.attempt) {
                (1, 1) => Act::Hang,
                _ => Act::Succeed,
            }
        });
        let stage = Stage::with(cluster(), (client.clone(), name), &[], kubelet, &[]).await;
        let few = json!({"maxTrials": 3, "algorithm": {"initialTrials": 3}});
        let searches = &stage.searches;
        searches
            .create(&manifest("one", &few))
            .await
            .expect("valid");
        let uid = searches.get("one").await.metadata.uid.expect("a UID");
        let jobs: Api<Job> = Api::namespaced(client.clone(), name);
        let pods: Api<Pod> = Api::namespaced(client, name);
        let job = |trial| job_name("one", &uid, Purpose::Trial(trial), 1);
        let is_there = async |trial| jobs.get(&job(trial)).await.is_ok();
        within(LIMIT, "the first trial runs", async || is_there(0).await).await;
        within(LIMIT, "it has a pod", async || {
            let listed = pods.list(&ListParams::default()).await.expect("pods");
            listed
                .items
                .iter()
                .any(|pod| pod.name_any().starts_with(&job(0)))
        })
        .await;
        // The first trial's end is found by asking; of the second nothing is seen.
        stage.proxy.hold_back("jobs");
        stage.proxy.hold_back("pods");
        tokio::time::sleep(SHORT * 20).await;
        stage.proxy.let_go();
        within(LIMIT, "the second trial runs", async || is_there(1).await).await;
        stage.proxy.hold_back("jobs");
        stage.proxy.hold_back("pods");
        jobs.delete(&job(1), &DeleteParams::background())
            .await
            .expect("it is there");
        let nothing = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        within(LIMIT, "the Job and its pod are gone", async || {
            for pod in pods.list(&ListParams::default()).await.expect("pods") {
                if pod.name_any().starts_with(&job(1)) {
                    // It may be gone by now.
                    let _ = pods
                        .patch(&pod.name_any(), &PatchParams::default(), &nothing)
                        .await;
                    return false;
                }
            }
            !is_there(1).await
        })
        .await;
        stage.proxy.let_go();
        let status = searches.ended("one").await;
        let attempts: Vec<u32> = status.ledger.iter().map(|entry| entry.attempt).collect();
        assert_eq!(attempts, [1, 2, 1]);
    });
}

/// Row 9: what is told once is not relied on.
#[test]
fn events_that_never_come_stop_no_search() {
    runtime().block_on(async {
        let stage = async |name: &str, resource: &'static str, change: Change| {
            let when = When::Nth { first: 0, times: 3 };
            let rules = [Rule::on(
                Verb::Watch,
                resource,
                when,
                Effect::Events(change),
            )];
            let stage = Stage::set(name, &rules).await;
            stage.begin(Small::Narrow).await;
            stage.ends_well(Small::Narrow).await;
            assert!(stage.proxy.struck()[0] > 0);
        };
        let missed = |come| Change::Missed {
            come,
            time: SHORT * 30,
        };
        tokio::join!(
            stage("missed-searches", "peftsearches", missed(3)),
            stage("missed-jobs", "jobs", missed(7)),
            stage("missed-pods", "pods", missed(5)),
            stage("cut-pods", "pods", Change::Cut(1)),
        );
    });
}

/// Row 10.
#[test]
fn events_that_come_twice_or_in_another_order_cause_no_write() {
    runtime().block_on(async {
        let stage = async |name: &str, changes: &[Change]| {
            let rules: Vec<Rule> = changes
                .iter()
                .flat_map(|change| on_watches(When::always(), *change))
                .collect();
            let stage = Stage::set(name, &rules).await;
            stage.begin(Small::Narrow).await;
            stage.ends_well(Small::Narrow).await;
            stage.searches.is_clean().await;
            assert_quiet(&cluster().audit, name).await;
            let written = written(&cluster().audit, name);
            let of = |what: &str| {
                written
                    .iter()
                    .filter(|write| write.starts_with(what))
                    .count()
            };
            let runs = Small::TRIALS + 1;
            assert_eq!(of("create jobs"), runs, "{written:#?}");
            assert_eq!(of("delete jobs"), runs, "{written:#?}");
            assert_eq!(of("patch pods"), runs, "{written:#?}");
            assert!(stage.proxy.all_struck(), "{:?}", stage.proxy);
            let updates = of("update peftsearches/status");
            assert!(updates <= 3 * runs, "{updates} statuses: {written:#?}");
        };
        let shuffled = [Change::Shuffled(1), Change::Twice];
        tokio::join!(
            stage("twice", &[Change::Twice]),
            stage("shuffled", &shuffled)
        );
    });
}

/// Row 13: of a watch whose other side is gone, and of one that is never answered.
#[test]
fn a_watch_that_says_nothing_is_begun_anew_within_a_minute() {
    runtime().block_on(async {
        let stage = async |name: &str, effect: Effect| {
            let first = When::only(0);
            let rules = WATCHED.map(|resource| Rule::on(Verb::Watch, resource, first, effect));
            let stage = Stage::set(name, &rules).await;
            within(LIMIT, "the watches are begun", async || {
                stage.proxy.struck() == [1; 3]
            })
            .await;
            let begun = Instant::now();
            stage.begin(Small::Narrow).await;
            let minute = Duration::from_secs(65);
            within(minute + LIMIT, "the search is seen", async || {
                stage.searches.get("narrow").await.status.is_some()
            })
            .await;
            let took = begun.elapsed();
            // On a busy machine a process may sleep for longer than it wants.
            assert!(took < minute + SHORT * 50, "{name}: {took:?}");
            stage.ends_well(Small::Narrow).await;
            assert_eq!(stage.operator.restarts(), 0);
        };
        tokio::join!(
            stage("silent", Effect::Events(Change::Silence)),
            stage("unanswered", Effect::Hang),
        );
    });
}

/// Rows 13 and 14: what one watch suffers from stops no search.
#[test]
fn a_search_goes_on_by_asking_while_nothing_comes_from_the_watch_of_pods() {
    runtime().block_on(async {
        let stage = Stage::set("no-pods", &[]).await;
        stage.begin(Small::Narrow).await;
        stage.searches.finished("narrow", 1).await;
        stage.proxy.hold_back("pods");
        stage.searches.finished("narrow", 3).await;
        stage.proxy.let_go();
        stage.ends_well(Small::Narrow).await;
    });
}

/// A cluster for what breaks one; a test at a time.
fn fragile() -> (&'static Cluster, MutexGuard<'static, ()>) {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (CLUSTER.get_or_init(|| Cluster::up_as("fragile")), turn)
}

/// Rows 11 and 12: the API server is away for longer than a lease holds, and etcd has forgotten what
/// the watches have seen.
#[test]
fn an_api_server_that_is_away_and_has_forgotten_delays_a_search_and_nothing_more() {
    let (cluster, _turn) = fragile();
    runtime().block_on(async {
        let client = cluster.namespace("away").await;
        let _kubelet = Kubelet::play(client.clone(), "away", SHORT * 10, |_| Act::Succeed);
        let mut operator = cluster.operator("away", "a");
        let searches = Searches::of(&client, "away");
        let wide = json!({"parallelism": 2, "maxTrials": 6, "algorithm": {"initialTrials": 6}});
        searches
            .create(&manifest("one", &wide))
            .await
            .expect("valid");
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
        // One that is started meanwhile waits too.
        let mut second = cluster.operator("away", "b");
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.verb(&["restart-apiserver"]);

        let back = Instant::now();
        within(LIMIT, "the search goes on", async || {
            searches.status("one").await.trials.succeeded > 3
        })
        .await;
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

/// How often the operator has asked something, whatever the answer.
fn asked(cluster: &Cluster, namespace: &str, verb: &str, resource: &str) -> usize {
    let log = std::fs::read_to_string(&cluster.audit).expect("an audit log");
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let of = events.filter(|event: &serde_json::Value| {
        event["stage"] == "ResponseComplete"
            && event["user"]["username"] == "operator"
            && event["verb"] == verb
            && event["objectRef"]["resource"] == resource
            && event["objectRef"]["namespace"] == namespace
    });
    of.count()
}

/// Row 12: the API server says 410 on a watch that runs, and on one that begins.
#[test]
fn a_watch_whose_version_is_too_old_lists_anew() {
    runtime().block_on(async {
        let mut rules = Vec::new();
        for resource in WATCHED {
            let expired = Effect::Events(Change::Expired);
            rules.push(Rule::on(Verb::Watch, resource, When::only(0), expired));
            rules.push(Rule::on(
                Verb::Watch,
                resource,
                When::only(1),
                Effect::Answer(410),
            ));
            let later = Effect::Events(Change::Missed {
                come: 6,
                time: SHORT,
            });
            rules.push(Rule::on(Verb::Watch, resource, When::only(2), later));
        }
        let stage = Stage::set("compacted", &rules).await;
        stage.begin(Small::Narrow).await;
        stage.begin(Small::Wide).await;
        stage.ends_well(Small::Narrow).await;
        stage.ends_well(Small::Wide).await;
        assert_eq!(stage.proxy.struck(), [1; 9]);
        assert_eq!(stage.operator.restarts(), 0);
    });
}

/// Row 14: the right to watch pods is taken away while a search runs.
#[test]
fn without_the_right_to_watch_pods_searches_go_on_and_with_it_again_they_are_as_before() {
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
        searches
            .create(&manifest("one", &few))
            .await
            .expect("valid");
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
        searches
            .create(&manifest("two", &other))
            .await
            .expect("valid");
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

/// Row 15.
#[test]
fn a_slow_and_lossy_api_server_slows_searches_and_changes_no_leader() {
    runtime().block_on(async {
        let name = "lossy";
        let client = cluster().namespace(name).await;
        let _kubelet = Kubelet::play(client.clone(), name, SHORT, |_| Act::Succeed);
        let proxies = [
            Proxy::before(cluster(), "lossy-a").await,
            Proxy::before(cluster(), "lossy-b").await,
        ];
        let mut operators = Vec::new();
        for (proxy, (replica, seed)) in proxies.iter().zip([("a", 1), ("b", 2)]) {
            let chance = |chance| When::Percent { chance, seed };
            let slowly = Effect::Delay(Duration::from_secs(2));
            let mut rules = vec![
                Rule::on_any(When::always(), Effect::Delay(SHORT * 2)),
                Rule::on_any(chance(3), Effect::LoseRequest),
                Rule::on_any(chance(2), Effect::LoseReply),
                Rule::on_any(chance(5), Effect::Answer(429)),
            ];
            rules.extend(
                [Verb::Get, Verb::Patch]
                    .map(|verb| Rule::on(verb, "leases", When::always(), slowly)),
            );
            proxy.begin(&rules);
            operators.push(
                cluster()
                    .launch(name, replica)
                    .by(proxy.kubeconfig())
                    .start(),
            );
            within(LIMIT, "the first leads", async || operators[0].leads()).await;
        }
        let leases: Api<Lease> = Api::namespaced(client.clone(), name);
        let lease = async || {
            let lease = leases.list(&ListParams::default()).await.expect("leases");
            let spec = lease.items[0].spec.clone().expect("a spec");
            (spec.holder_identity, spec.lease_transitions)
        };
        let before = lease().await;
        let searches = Searches::of(&client, name);
        let many = 12;
        for number in 0..many {
            let one = json!({"maxTrials": 2, "algorithm": {"initialTrials": 2}});
            let search = manifest(&format!("s{number}"), &one);
            searches.create(&search).await.expect("valid");
        }
        let begun = Instant::now();
        for number in 0..many {
            let name = format!("s{number}");
            let status = searches.ended(&name).await;
            let attempts: Vec<u32> = status.ledger.iter().map(|entry| entry.attempt).collect();
            assert_eq!(attempts, [1, 1], "{name}");
        }
        // Longer than a lease holds, twice over.
        tokio::time::sleep(Duration::from_secs(32).saturating_sub(begun.elapsed())).await;
        assert_eq!(lease().await, before, "the leader stays");
        assert!(operators.iter_mut().all(|operator| !operator.has_ended()));
        // 16 reconciles at once, the sweep, the Lease, three lists.
        let most = proxies[0].most_in_flight();
        assert!(most <= 24, "{most} requests at once");
        assert!(proxies[0].all_struck(), "{:?}", proxies[0]);
        for search in searches.list().await {
            assert_sound(&search, &cluster().audit);
        }
    });
}

/// Row 17: the operator's clock is wrong, and jumps while it runs.
#[test]
fn a_clock_that_is_five_minutes_wrong_changes_nothing() {
    let library = Path::new(&cluster_sh(&["build", "faketime"])).join("libfaketime.so.1");
    let library = library.to_str().expect("a path");
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let stage = async |name: &str, clocks: &[&str]| {
            let file = folder.path().join(name);
            let set = |clock: &str| {
                let next = file.with_extension("next");
                std::fs::write(&next, clock).expect("a file");
                std::fs::rename(&next, &file).expect("a file");
            };
            set(clocks[0]);
            let environment = [
                ("LD_PRELOAD", library),
                ("FAKETIME_TIMESTAMP_FILE", file.to_str().expect("a path")),
                ("FAKETIME_CACHE_DURATION", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ];
            let client = cluster().namespace(name).await;
            let kubelet = Kubelet::play(client.clone(), name, SHORT, |_| Act::Succeed);
            // A pod's end is seen after its Job's, so that there is something to be impatient with.
            let late = Effect::Events(Change::Lag(SHORT * 20));
            let rules = [Rule::on(Verb::Watch, "pods", When::always(), late)];
            let stage = (client.clone(), name);
            let stage = Stage::with(cluster(), stage, &rules, kubelet, &environment).await;
            stage.begin(Small::Narrow).await;
            stage.begin(Small::Wide).await;
            for (number, clock) in clocks.iter().enumerate().skip(1) {
                stage.searches.finished("narrow", number).await;
                set(clock);
            }
            stage.ends_well(Small::Narrow).await;
            stage.ends_well(Small::Wide).await;
            assert!(stage.proxy.all_struck(), "{:?}", stage.proxy);
            let leases: Api<Lease> = Api::namespaced(client, name);
            let leases = leases.list(&ListParams::default()).await.expect("leases");
            let spec = leases.items[0].spec.clone().expect("a spec");
            assert_eq!(
                spec.lease_transitions,
                Some(1),
                "{name}: it leads once and for all"
            );
            assert_eq!(stage.operator.restarts(), 0, "{name}");
            spec.renew_time.expect("a time").0
        };
        let (ahead, behind, _) = tokio::join!(
            stage("ahead", &["+5m"]),
            stage("behind", &["-5m"]),
            stage("jumping", &["+0", "+5m", "-5m", "+0"]),
        );
        // The clocks were wrong indeed.
        let seconds = ahead.duration_since(behind).as_secs();
        assert!((480..720).contains(&seconds), "{seconds} s apart");
    });
}
