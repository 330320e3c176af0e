//! Responses and events that are lost, late, stale or duplicated.

use std::time::{Duration, Instant};

use autopeft_integration_tests::audit::{assert_quiet, written_once};
use autopeft_integration_tests::cluster::{HURRIED, cluster, runtime, within};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::proxy::{Change, Effect, Rule, Verb, When};
use autopeft_integration_tests::stage::{SHORT, Small, Stage};
use autopeft_jobs::build::names::{Work, job_name};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{LIMIT, WATCHED, on_watches};

/// Row 6.
#[test]
fn requests_whose_answer_is_lost_are_not_repeated() {
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
            assert_eq!(stage.operator.ends(), [""; 0]);
        };
        tokio::join!(
            stage("lost-replies", Effect::LoseReply),
            stage("gateway", Effect::AnswerAfter(504)),
        );
    });
}

/// Row 7: after a restart, and after a relist that another, older API server answers.
#[test]
fn a_stale_list_starts_nothing_twice() {
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
            let ends = stage.operator.ends();
            assert_eq!(ends.len(), 1, "{ends:?}");
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
            assert_eq!(stage.operator.ends(), [""; 0]);
        };
        tokio::join!(restarted, relisted);
    });
}

/// Row 8.
#[test]
fn writes_that_no_watch_has_shown_yet_are_not_repeated() {
    runtime().block_on(async {
        let late = on_watches(When::always(), Change::Lag(SHORT * 15));
        let stage = Stage::set("late-events", &late).await;
        stage.begin(Small::Narrow).await;
        stage.begin(Small::Wide).await;
        stage.ends_well(Small::Narrow).await;
        stage.ends_well(Small::Wide).await;
        stage.searches.is_clean().await;
        assert_quiet(&cluster().audit, "late-events").await;
        assert!(stage.proxy.all_struck(), "{:?}", stage.proxy);
    });
}

/// Rows 8 and 18: a Job that was created and deleted before its creation was seen.
#[test]
fn a_job_that_was_deleted_before_it_was_seen_is_lost() {
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
        searches.submit("one", &few).await;
        let uid = searches.get("one").await.metadata.uid.expect("a UID");
        let jobs: Api<Job> = Api::namespaced(client.clone(), name);
        let pods: Api<Pod> = Api::namespaced(client, name);
        let job = |trial| job_name("one", &uid, Work::Trial(trial), 1);
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

/// Row 9: no event is relied on.
#[test]
fn dropped_events_stop_no_search() {
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
fn duplicate_or_reordered_events_cause_no_write() {
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
            // Removals are asked for again on a busy machine, whose events come late.
            let written = written_once(&cluster().audit, name);
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

/// Row 13: a watch whose peer is dead, and one that is never answered.
#[test]
fn a_silent_watch_is_restarted_within_a_minute() {
    runtime().block_on(async {
        let stage = async |name: &str, effect: Effect| {
            let first = When::only(0);
            let rules = WATCHED.map(|resource| Rule::on(Verb::Watch, resource, first, effect));
            let stage = Stage::hurried(name, &rules).await;
            within(LIMIT, "the watches are begun", async || {
                stage.proxy.struck() == [1; 3]
            })
            .await;
            let begun = Instant::now();
            stage.begin(Small::Narrow).await;
            // 65 s by default: the life of a watch, and 10 s.
            let minute = Duration::from_secs(55).mul_f64(HURRIED) + SHORT * 100;
            within(minute + LIMIT, "the search is seen", async || {
                stage.searches.get("narrow").await.status.is_some()
            })
            .await;
            let took = begun.elapsed();
            // On a busy machine a process may sleep for longer than it wants.
            assert!(took < minute + SHORT * 50, "{name}: {took:?}");
            stage.ends_well(Small::Narrow).await;
            assert_eq!(stage.operator.ends(), [""; 0]);
        };
        tokio::join!(
            stage("silent-watch", Effect::Events(Change::Silence)),
            stage("unanswered", Effect::Hang),
        );
    });
}

/// Rows 13 and 14: the failure of one watch stops no search.
#[test]
fn a_search_continues_while_the_watch_of_pods_is_silent() {
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

/// Row 12: the API server answers 410 on an open watch, and on a new one.
#[test]
fn a_watch_with_an_expired_version_lists_again() {
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
        assert_eq!(stage.operator.ends(), [""; 0]);
    });
}
