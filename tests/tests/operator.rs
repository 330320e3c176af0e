//! The operator against a real API server, its pods played by `kubelet`. Rows are those of the fault
//! table in docs/faults.md.

use std::time::Duration;

use autopeft_integration_tests::cluster::{cluster, runtime};
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{
    Searches, assert_sound, condition, manifest, story, writes,
};
use serde_json::json;

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_search_runs_to_its_front_with_few_writes_and_leaves_nothing_behind() {
    runtime().block_on(async {
        let client = cluster().namespace("front").await;
        let _kubelet = Kubelet::play(client.clone(), "front", SHORT, |_| Act::Succeed);
        let _operator = cluster().operator("front", "a");
        let searches = Searches::of(&client, "front");
        let trials = 8;
        searches
            .create(&manifest("one", &json!({"maxTrials": trials})))
            .await
            .expect("valid");
        let status = searches.ended("one").await;
        assert_eq!(
            condition(&status, "Succeeded"),
            ("True".into(), "MaxTrialsReached".into())
        );
        assert_eq!(status.trials.succeeded, trials);
        assert!(status.front_size > 0 && status.hypervolume.is_some());
        searches.is_clean().await;
        assert_sound(&searches.get("one").await, &cluster().audit);
        let ours = writes(&cluster().audit, "front")
            .into_iter()
            .filter(|event| event["user"]["username"] == "operator")
            .filter(|event| event["objectRef"]["resource"] != "events")
            .filter(|event| event["objectRef"]["resource"] != "leases")
            .count();
        let most = 6 * (trials as usize + 1);
        assert!(
            ours <= most,
            "{ours} writes for {trials} trials and an inspection"
        );
    });
}

/// Rows 1 to 5.
#[test]
fn an_operator_that_is_killed_at_any_moment_loses_and_doubles_nothing() {
    runtime().block_on(async {
        let client = cluster().namespace("killed").await;
        let _kubelet = Kubelet::play(client.clone(), "killed", SHORT, |_| Act::Succeed);
        let searches = Searches::of(&client, "killed");
        let mut operator = cluster().operator("killed", "a");
        searches
            .create(&manifest("calm", &json!({})))
            .await
            .expect("valid");
        let calm = searches.ended("calm").await;

        searches
            .create(&manifest("stormy", &json!({})))
            .await
            .expect("valid");
        let mut kills = 0;
        for delay in [40, 300, 90, 700, 170, 450, 60, 1100, 230, 520, 130, 800] {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            if searches.status("stormy").await.completion_time.is_some() {
                break;
            }
            operator.kill();
            kills += 1;
            operator = cluster().operator("killed", "a");
        }
        assert!(kills >= 10, "the search was over after {kills} kills");
        let stormy = searches.ended("stormy").await;
        assert_eq!(story(&calm), story(&stormy));
        searches.is_clean().await;
        assert_sound(&searches.get("stormy").await, &cluster().audit);
    });
}
