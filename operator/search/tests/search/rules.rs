//! Small rules of the shells: what is within the bounds, where sources are, what a process that ended amounts to,
//! and whether a search may go on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::SearchSpace;
use autopeft_crds::run::{Expected, TERMINATED};
use autopeft_crds::spec::{Metric, Source, TaskSpec};
use autopeft_crds::status::Attempt;
use autopeft_crds::trial::{Inspection, TrialIdentity, TrialOutcome};
use autopeft_search::feasible;
use autopeft_search::history::{FORMAT, Header, History};
use autopeft_search::locations::{self, Location};
use autopeft_search::measures::Subject;
use autopeft_search::planner::{End, RunState, StopReason};
use autopeft_search::processes::{self, Ended, Exit};
use autopeft_search::request::Locations;
use autopeft_search::resume::{self, Refusal};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

fn spec(more: Value) -> PeftSearchSpec {
    let mut spec = json!({
        "model": {"source": {"path": "model"}},
        "task": {"name": "rte", "source": {"path": "data"}},
    });
    let fields = spec.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    serde_json::from_value(spec).expect("a spec")
}

fn inspection(more: Value) -> Inspection {
    let mut found = json!({
        "architecture": "bert",
        "layers": 4,
        "hiddenSize": 64,
        "backboneParameters": 1_000_000,
        "trainExamples": 100,
        "validationExamples": 50,
    });
    let fields = found.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    serde_json::from_value(found).expect("an inspection")
}

#[test]
fn a_bound_that_nothing_is_within() {
    let check = |space: Value, bound: &str| {
        let spec = spec(json!({
            "searchSpace": space,
            "objectives": [{"name": "score"}, {"name": "trainableParameters", "bound": bound}],
        }));
        let model = inspection(json!({}));
        let space = SearchSpace::resolve(&spec.search_space, 4, 64).expect("a space");
        let checked = feasible::check(&Subject::new(&spec, &space, &model));
        checked.map_err(|error| error.to_string())
    };
    assert_eq!(
        check(json!({}), "0.0001"),
        Ok(()),
        "the empty model costs nothing"
    );
    let refused = check(json!({"excludeEmpty": true}), "0.0001").expect_err("rejected");
    assert_eq!(
        refused,
        "spec.objectives[1].bound: 0.0001 % of the backbone is 1 parameters, and the smallest configuration of the search space has 128 (0.0128 %); raise the bound, or add smaller sizes to spec.searchSpace"
    );
    assert_eq!(check(json!({"excludeEmpty": true}), "0.0128"), Ok(()));
}

#[test]
fn where_a_source_is() {
    let find = |source: Value, taken: Option<&str>| {
        let source: Source = serde_json::from_value(source).expect("a source");
        let claims = [("models".to_owned(), PathBuf::from("/mnt"))];
        let taken = taken.map(Path::new);
        match locations::locate(
            &source,
            locations::MODEL,
            taken,
            Path::new("/base"),
            &claims,
        ) {
            Ok(Location::Directory { path, field, .. }) => format!("{field} {}", path.display()),
            Ok(Location::Hub(repository)) => repository,
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(
        find(json!({"path": "a"}), None),
        "spec.model.source.path /base/a"
    );
    assert_eq!(
        find(json!({"path": "/a"}), None),
        "spec.model.source.path /a"
    );
    assert_eq!(find(json!({"path": "a"}), Some("b")), "--model b");
    let claim = |name: &str| find(json!({"claim": {"name": name, "path": "x"}}), None);
    assert_eq!(claim("models"), "spec.model.source.claim.path /mnt/x");
    assert!(
        claim("others").contains("--claim others=DIR"),
        "{}",
        claim("others")
    );
    let hub = json!({"hub": {"repository": "owner/name", "revision": "v1"}});
    assert_eq!(find(hub, None), "hf://owner/name@v1");
    assert!(find(json!({}), None).contains("--model DIR"));
}

#[test]
fn where_the_data_of_other_tasks_is() {
    let source = |source: Value| json!({"name": "rte", "source": source});
    let others = [
        ("here", json!({"path": "a"})),
        ("claimed", json!({"claim": {"name": "unknown"}})),
        ("mounted", json!({"image": {"reference": "a:b"}})),
        ("nowhere", json!({})),
    ];
    let others = others.map(|(name, at)| json!({"name": name, "task": source(at)}));
    let spec = spec(json!({"promotion": {}, "transfer": {"tasks": others}}));
    let found = locations::others(&spec).map(|(task, owner)| {
        // What overrides the data of the search's own task does not apply.
        let taken = Some(Path::new("b"));
        match locations::locate(&task.source, owner, taken, Path::new("/base"), &[]) {
            Ok(Location::Directory { path, field, .. }) => format!("{field} {}", path.display()),
            Ok(Location::Hub(repository)) => repository,
            Err(error) => error.to_string(),
        }
    });
    let found: Vec<String> = found.collect();
    assert_eq!(found[0], "spec.transfer.tasks[0].task.source.path /base/a");
    let claim = "spec.transfer.tasks[1].task.source.claim.name: the claim unknown has no directory on this machine; \
                 give it with --claim unknown=DIR";
    assert_eq!(found[1], claim);
    assert!(
        found[2].ends_with("give path, claim or hub"),
        "{}",
        found[2]
    );
    assert!(
        found[3].ends_with("give one of path, claim and hub"),
        "{}",
        found[3]
    );
}

fn expected(trial: u32) -> Expected {
    Expected {
        identity: TrialIdentity {
            search_uid: "uid".into(),
            trial,
            attempt: 1,
            configuration_hash: "0123456789abcdef".into(),
        },
        metric: Metric::Accuracy,
    }
}

/// What came of each of two trials, of which neither has left a result.
fn judged(exit: &Exit, stopped: Option<StopReason>, killed: &mut BTreeSet<u32>) -> Vec<String> {
    judged_by(Err("gone".into()), exit, stopped, killed)
}

/// The same of two trials with this document.
fn judged_by(
    document: Result<&[u8], String>,
    exit: &Exit,
    stopped: Option<StopReason>,
    killed: &mut BTreeSet<u32>,
) -> Vec<String> {
    let expected = [expected(4), expected(5)];
    let ended = Ended {
        run: Attempt {
            trial: 4,
            attempt: 1,
        },
        expected: &expected,
        results: processes::results(document, &expected, "result.json"),
        stopped,
        exit,
        output_end: "the last words",
    };
    let RunState::Ended(ends) = processes::judge(ended, killed) else {
        panic!("it runs");
    };
    let words = |end: &End| match end {
        End::Interrupted => "interrupted".to_owned(),
        End::Outcome(TrialOutcome::Failed { reason, message }) => {
            format!("{reason:?} {message}")
        }
        End::Outcome(other) => panic!("{other:?}"),
    };
    ends.iter().map(words).collect()
}

/// Only the trial at work is blamed; what had not begun is tried again.
#[test]
fn what_a_process_that_ended_amounts_to() {
    let mut killed = BTreeSet::new();
    for (exit, first) in [
        (Exit::Code(2), "BadInput the last words"),
        (
            Exit::Code(7),
            "NoResult result.json cannot be read (gone); the trainer exited with code 7, see trials/0004-1/log.txt",
        ),
        (Exit::Signal(6), "Lost the trainer was killed by signal 6"),
        (
            Exit::Unknown("no child".into()),
            "Lost waiting for the trainer failed: no child",
        ),
        (Exit::Signal(9), "Lost the trainer was killed by signal 9"),
        (
            Exit::Signal(9),
            "OutOfMemory the trainer was killed by signal 9 twice, most likely because the machine ran out of memory",
        ),
    ] {
        assert_eq!(judged(&exit, None, &mut killed), [first, "interrupted"]);
    }
    let exit = Exit::Signal(15);
    assert_eq!(
        judged(&exit, Some(StopReason::TrialDeadline), &mut killed)[0],
        "DeadlineExceeded it took longer than spec.trialDeadlineSeconds"
    );
    assert_eq!(
        judged(&exit, Some(StopReason::NotNeeded), &mut killed),
        ["interrupted", "interrupted"]
    );
}

/// A terminated trainer does not know who did it: only the operator knows whether it was itself.
#[test]
fn what_a_terminated_trainer_leaves_is_no_outcome() {
    let said = "terminated by SIGTERM after 2 epochs";
    let member = |trial: u32, reason: &str| {
        json!({
            "identity": expected(trial).identity,
            "outcome": {"failed": {"reason": reason, "message": said}},
        })
    };
    let judged = |members: Value, stopped| {
        let document = json!({"version": 2, "trials": members}).to_string();
        let exit = Exit::Code(TERMINATED);
        judged_by(
            Ok(document.as_bytes()),
            &exit,
            stopped,
            &mut BTreeSet::new(),
        )
    };
    let first = || json!([member(4, "Lost")]);
    assert_eq!(
        judged(first(), None),
        [format!("Lost {said}"), "interrupted".into()]
    );
    let not_needed = Some(StopReason::NotNeeded);
    assert_eq!(judged(first(), not_needed), ["interrupted", "interrupted"]);
    let late = Some(StopReason::TrialDeadline);
    assert_eq!(
        judged(first(), late)[0],
        "DeadlineExceeded it took longer than spec.trialDeadlineSeconds"
    );
    // What had ended before counts.
    let second = json!([member(4, "NotFinite"), member(5, "Lost")]);
    let not_finite = format!("NotFinite {said}");
    assert_eq!(
        judged(second.clone(), not_needed),
        [not_finite.clone(), "interrupted".into()]
    );
    assert_eq!(judged(second, None), [not_finite, format!("Lost {said}")]);
}

#[test]
fn whether_a_search_may_go_on() {
    let before = spec(json!({"maxTrials": 5}));
    let history = History {
        header: Header {
            format: FORMAT,
            version: "0.1.0".into(),
            uid: "uid".into(),
            name: "name".into(),
            at: Timestamp::UNIX_EPOCH,
            spec: before.clone(),
            inspection: inspection(json!({})),
        },
        events: Vec::new(),
        torn: false,
        length: 0,
    };
    assert!(resume::is_blank(&history, "name") && !resume::is_blank(&history, "other"));
    assert_eq!(resume::manifest(&history, "name", &before), Ok(false));
    let more = spec(json!({"maxTrials": 6}));
    assert_eq!(resume::manifest(&history, "name", &more), Ok(true));
    let seed = spec(json!({"maxTrials": 6, "algorithm": {"seed": 7}}));
    let Err(Refusal::Manifest(changes)) = resume::manifest(&history, "name", &seed) else {
        panic!("another seed is taken");
    };
    assert_eq!(changes.len(), 1);
    assert!(matches!(
        resume::manifest(&history, "other", &before),
        Err(Refusal::Name { .. })
    ));

    let locations = Locations {
        model: "/model".into(),
        data: "/data".into(),
        others: Default::default(),
        artifacts: None,
        promoted: None,
    };
    let prints = |model: &str, data: &str| {
        inspection(json!({"modelFingerprint": model, "dataFingerprint": data}))
    };
    let begun = prints("aa", "bb");
    assert_eq!(
        resume::inputs(&begun, &prints("aa", "bb"), &locations),
        Ok(())
    );
    // A trainer that takes no fingerprints tells nothing against it.
    assert_eq!(
        resume::inputs(&begun, &inspection(json!({})), &locations),
        Ok(())
    );
    let other = resume::inputs(&begun, &prints("aa", "cc"), &locations).expect_err("other data");
    assert!(
        other.to_string().starts_with("/data: the data is not"),
        "{other}"
    );
    let fewer = inspection(json!({"trainExamples": 99}));
    assert!(matches!(
        resume::inputs(&begun, &fewer, &locations),
        Err(Refusal::Inputs { .. })
    ));
}

#[test]
fn a_search_goes_on_only_with_the_data_of_other_tasks_that_it_began_with() {
    let task: TaskSpec =
        serde_json::from_value(json!({"name": "mrpc", "source": {"path": "b"}})).expect("a task");
    let places = Locations {
        others: vec![(task.clone(), "/other".into())],
        model: "/model".into(),
        data: "/data".into(),
        artifacts: None,
        promoted: None,
    };
    let on = |task: &TaskSpec, print: &str| {
        inspection(json!({"others": [{"task": task.hash(), "fingerprint": print}]}))
    };
    let changed = resume::inputs(&on(&task, "aa"), &on(&task, "bb"), &places);
    let changed = changed.expect_err("other data").to_string();
    assert!(
        changed.starts_with("/other: the data of another task is not"),
        "{changed}"
    );
    // A task that is asked for later, or described otherwise, is not the one of before.
    assert_eq!(
        resume::inputs(&inspection(json!({})), &on(&task, "bb"), &places),
        Ok(())
    );
    let mut renamed = task.clone();
    renamed.source.path = Some("c".into());
    let before = on(&renamed, "aa");
    assert_eq!(resume::inputs(&before, &on(&task, "bb"), &places), Ok(()));
}
