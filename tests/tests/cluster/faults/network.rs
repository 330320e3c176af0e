//! A bad network and a wrong clock.

use std::path::Path;
use std::time::{Duration, Instant};

use autopeft_integration_tests::cluster::{cluster, cluster_sh, runtime, within};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::proxy::{Change, Effect, Proxy, Rule, Verb, When};
use autopeft_integration_tests::searches::{Searches, assert_sound, manifest};
use autopeft_integration_tests::stage::{SHORT, Small, Stage};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use super::LIMIT;

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

/// Row 35: a quota that several have asked at once answers 409, as a name that is taken does. Nothing has the name.
#[test]
fn a_job_that_a_quota_rejects_in_a_race_is_created_shortly_after() {
    runtime().block_on(async {
        let race = When::Nth { first: 0, times: 4 };
        let rules = [Rule::on(Verb::Create, "jobs", race, Effect::Answer(409))];
        let stage = Stage::set("race", &rules).await;
        stage.begin(Small::Wide).await;
        stage.ends_well(Small::Wide).await;
        assert!(stage.proxy.all_struck(), "{:?}", stage.proxy);
        let told = stage.searches.events(&["Conflict", "JobRejected"]).await;
        assert!(told.is_empty(), "{told:?}");
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
            assert_eq!(stage.operator.ends(), [""; 0], "{name}");
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
