//! Several searches side by side: what shares an axis, the numbers, and the outputs against kept ones.

mod outputs;
mod studies;
mod transfer;

use autopeft_crds::Decimal;
use autopeft_crds::spec::{BaselineName, FidelitySpec, Metric};
use autopeft_crds::{PeftSearch, TrialState};
use autopeft_search::compare::{CompareError, Given, Section, Spread, Strategy, compare};
use proptest::prelude::*;
use studies::{given, scored, search, study};

fn sections(given: &[Given]) -> Vec<Section> {
    compare(given, 1.0).expect("a comparison").sections
}

fn one_section(given: &[Given]) -> Section {
    let mut found = sections(given);
    assert_eq!(
        found.len(),
        1,
        "{:?}",
        found.iter().map(|one| &one.title).collect::<Vec<_>>()
    );
    found.remove(0)
}

/// The searches of a section by kind.
fn kinds(section: &Section) -> Vec<(&str, Vec<&str>)> {
    section
        .kinds
        .iter()
        .map(|kind| {
            let runs = kind.runs.iter().map(|run| run.label.as_str());
            (kind.label.as_str(), runs.collect())
        })
        .collect()
}

#[test]
fn searches_that_differ_in_seeds_alone_are_one_kind() {
    let section = one_section(&study());
    assert_eq!(
        kinds(&section),
        [
            (
                "Bayesian, SA + PA + prefix + layers",
                vec!["bayes-1", "bayes-2"]
            ),
            (
                "random, SA + PA + prefix + layers",
                vec!["random-1", "random-2"]
            ),
            ("Bayesian, SA + layers", vec!["sa-layers"]),
        ]
    );
    let race = &section.races[0];
    assert_eq!((section.races.len(), &race.kinds[..]), (1, &[0, 1][..]));
    assert_eq!(race.labels, ["Bayesian", "random"]);
    let ablation = &section.ablations[0];
    assert_eq!(
        (section.ablations.len(), &ablation.kinds[..]),
        (1, &[0, 2][..])
    );
    assert_eq!(
        ablation.labels,
        ["SA + PA + prefix + layers", "SA + layers"]
    );
}

#[test]
fn kinds_are_named_by_the_settings_in_which_they_differ() {
    let mut longer = search("longer", 1, 8, 4);
    longer.spec.fidelity = FidelitySpec {
        epochs: 3,
        ..FidelitySpec::default()
    };
    // What says nothing of a trial's score is no difference.
    longer.spec.parallelism = 7;
    longer.spec.trial_deadline_seconds = 77;
    longer.spec.baselines = vec![BaselineName::Lora];
    let section = one_section(&given([search("plain", 1, 8, 4), longer]));
    assert_eq!(
        kinds(&section),
        [
            ("fidelity.epochs 1", vec!["plain"]),
            ("fidelity.epochs 3", vec!["longer"])
        ]
    );
    let mut other = search("other", 1, 8, 4);
    other.spec.algorithm.nuts.warmup = 17;
    let section = one_section(&given([search("plain", 1, 8, 4), other]));
    assert_eq!(kinds(&section)[1].0, "Bayesian, algorithm.nuts.warmup 17");
    assert!(section.races.is_empty() && section.ablations.is_empty());
}

#[test]
fn spaces_in_which_the_same_is_searched_are_named_by_their_values() {
    let masked = |name: &str, mask: &str| {
        let mut search = search(name, 1, 8, 4);
        search.spec.search_space = serde_json::from_value(serde_json::json!({
            "dimensions": [{"name": "layers", "mask": mask}, {"name": "serialAdapter"}],
        }))
        .expect("a space");
        search
    };
    let section = one_section(&given([
        masked("upper", "000***"),
        masked("lower", "***000"),
    ]));
    assert_eq!(
        section.ablations[0].labels,
        ["SA + layers (layers 000***)", "SA + layers (layers ***000)"]
    );
}

#[test]
fn other_tasks_metrics_models_and_data_never_share_an_axis() {
    type Change = fn(&mut PeftSearch);
    let changes: [(&str, Change); 4] = [
        ("scored by accuracy in a and by F1 in b", |search| {
            search.spec.task.metric = Some(Metric::F1);
        }),
        ("search other models", |search| {
            inspection(search).backbone_parameters += 1;
        }),
        ("have other files of data", |search| {
            inspection(search).data_fingerprint = Some("f00d".into());
        }),
        ("", |search| {
            search.spec.task.name = autopeft_crds::spec::TaskName::Rte
        }),
    ];
    for (note, change) in changes {
        let mut other = search("b", 2, 8, 4);
        change(&mut other);
        let comparison = compare(&given([search("a", 1, 8, 4), other]), 1.0).expect("a comparison");
        assert_eq!(comparison.sections.len(), 2, "{note}");
        assert_eq!(
            comparison.notes.is_empty(),
            note.is_empty(),
            "{:?}",
            comparison.notes
        );
        assert!(
            comparison.notes.iter().all(|told| told.contains(note)),
            "{:?}",
            comparison.notes
        );
        let [one, two] = &comparison.sections[..] else {
            panic!("two")
        };
        assert_ne!(one.title, two.title);
    }
}

fn inspection(search: &mut PeftSearch) -> &mut autopeft_crds::trial::Inspection {
    let status = search.status.as_mut().expect("a status");
    status.inspection.as_mut().expect("an inspection")
}

#[test]
fn bad_input_has_a_message() {
    let refused = |given: &[Given]| match compare(given, 1.0) {
        Err(error) => (error.to_string(), error),
        Ok(_) => panic!("it was compared"),
    };
    assert_eq!(refused(&[]).1, CompareError::Nothing);

    let mut twice = given([search("a", 1, 8, 4), search("a", 1, 8, 4)]);
    for (one, origin) in twice.iter_mut().zip(["runs/a", "./runs/a"]) {
        one.origin = origin.into();
        one.search.metadata.uid = Some("1-2-3".into());
    }
    assert!(
        refused(&twice)
            .0
            .starts_with("runs/a and ./runs/a are the same search")
    );

    let mut new = search("new", 1, 8, 4);
    new.status = None;
    let (message, error) = refused(&given([search("a", 1, 8, 4), new]));
    assert_eq!(error, CompareError::NoTrial("new".into()));
    assert!(message.starts_with("new: no trial has a score yet"));
    let mut failed = search("failed", 1, 8, 4);
    for entry in &mut failed.status.as_mut().expect("a status").ledger {
        (entry.state, entry.score) = (TrialState::Failed, None);
    }
    assert_eq!(
        refused(&given([failed])).1,
        CompareError::NoTrial("failed".into())
    );
    let mut empty = search("empty", 1, 8, 4);
    inspection(&mut empty).backbone_parameters = 0;
    assert_eq!(
        refused(&given([empty])).1,
        CompareError::NoBackbone("empty".into())
    );
}

#[test]
fn searches_of_one_name_are_called_as_they_were_given() {
    let mut two = given([search("same", 1, 8, 4), search("same", 2, 8, 4)]);
    two[0].origin = "runs/a".into();
    two[1].origin = "runs/b".into();
    assert_eq!(
        kinds(&one_section(&two)),
        [("Bayesian", vec!["runs/a", "runs/b"])]
    );
}

/// Two searches by hand: scores 0.6 at 999 parameters against 0.7 at 99,999.
#[test]
fn hypervolumes_share_their_reference_point() {
    let of = |name: &str, trials: &[(u64, Option<f64>)]| {
        let mut search = search(name, 1, trials.len() as u32, 1);
        search.spec.algorithm.initial_trials = 1;
        search.status.as_mut().expect("a status").ledger = scored(trials);
        search
    };
    let small = of(
        "small",
        &[(999, Some(0.6)), (9_999, None), (999, Some(0.5))],
    );
    let large = of(
        "large",
        &[
            (99_999, Some(0.7)),
            (999_999, Some(0.65)),
            (99_999, Some(0.7)),
        ],
    );
    let section = one_section(&given([small, large]));
    // The front goes from 0.6 at 10^3 to 0.7 at 10^5: a tenth of each range beyond its ends.
    let reference = section.reference;
    assert!((reference.score - 0.59).abs() < 1e-9, "{reference:?}");
    let parameters = reference.percent / 100.0 * section.backbone as f64;
    assert!((parameters.log10() - 5.2).abs() < 1e-3, "{parameters}");
    let volumes: Vec<Vec<f64>> = section.kinds[0]
        .runs
        .iter()
        .map(|run| run.trials.iter().map(|trial| trial.volume).collect())
        .collect();
    for (found, right) in volumes
        .iter()
        .flatten()
        .zip([0.022, 0.022, 0.022, 0.022, 0.022, 0.022])
    {
        assert!((found - right).abs() < 1e-9, "{volumes:?}");
    }
    let step = section.kinds[0].step(2).expect("two trials each");
    assert_eq!(step.best, Spread::of([0.6, 0.7]));
    assert_eq!(section.kinds[0].step(4), None);
}

#[test]
fn a_reference_point_that_every_search_gives_is_taken() {
    let with_reference = |name: &str, score: &str| {
        let mut search = search(name, 1, 8, 4);
        search.spec.objectives = serde_json::from_value(serde_json::json!([
            {"name": "score", "reference": score}, {"name": "trainableParameters", "reference": "10"},
        ]))
        .expect("objectives");
        search
    };
    let same = one_section(&given([
        with_reference("a", "0.5"),
        with_reference("b", "0.5"),
    ]));
    assert!(same.reference.is_given);
    assert_eq!((same.reference.score, same.reference.percent), (0.5, 10.0));
    let other = one_section(&given([
        with_reference("a", "0.5"),
        with_reference("b", "0.4"),
    ]));
    assert!(!other.reference.is_given);
}

#[test]
fn layers_are_compared_within_the_budget() {
    let section = one_section(&study());
    let rows: Vec<(&str, bool, bool)> = section
        .layer_selection
        .iter()
        .map(|row| (row.title.as_str(), row.is_search, row.is_over))
        .collect();
    // Three kinds, one of them trained in full too.
    assert_eq!(rows.iter().filter(|row| row.1).count(), 4, "{rows:?}");
    assert!(
        rows.contains(&("specialised AdapterDrop", false, false)),
        "{rows:?}"
    );
    assert!(rows.contains(&("serial adapter", false, false)), "{rows:?}");
    let within = section.layer_selection.iter().filter(|row| row.is_search);
    assert!(
        within
            .map(|row| row.percent.most)
            .all(|percent| percent <= 1.0)
    );
    let tight = compare(&study(), 0.01)
        .expect("a comparison")
        .sections
        .remove(0);
    let mut baselines = tight.layer_selection.iter().filter(|row| !row.is_search);
    assert!(baselines.all(|row| row.is_over));
    // Without such a baseline there is nothing to compare with.
    let plain = one_section(&given([search("plain", 1, 8, 4)]));
    assert!(plain.layer_selection.is_empty());
}

#[test]
fn cost_is_measured_by_full_fine_tuning() {
    let mut search = search("costly", 1, 8, 4);
    search.spec.training.batch_size = 32;
    let status = search.status.as_mut().expect("a status");
    let trials = status.ledger.len();
    for entry in &mut status.ledger {
        entry.train_seconds = Decimal::new(3.0).ok();
    }
    let mut tuned = scored(&[(1, Some(0.9))]).remove(0);
    tuned.trial = u32::try_from(trials).expect("few");
    tuned.origin = autopeft_crds::status::TrialOrigin::Baseline;
    tuned.baseline = Some(BaselineName::FullFineTuning);
    tuned.train_seconds = Decimal::new(12.0).ok();
    status.ledger.push(tuned);
    let cost = one_section(&given([search.clone()])).kinds[0].runs[0]
        .cost
        .clone();
    assert_eq!(
        (cost.trials, cost.seconds, cost.gpu_seconds),
        (8, 24.0, None)
    );
    // 2,000 examples in batches of 32: 63 steps.
    assert_eq!(cost.steps, 8 * 63);
    assert_eq!(cost.in_full_trainings(), Some(2.0));
    assert_eq!(cost.trial_percent(), Some(25.0));
    assert_eq!(cost.trial_percent_of_steps(), Some(100.0));

    // Trained in full over 20 epochs it says more.
    let fine_tuned = autopeft_crds::status::PromotedResult {
        baseline: Some(BaselineName::FullFineTuning),
        train_seconds: Decimal::new(240.0).ok(),
        ..studies::promoted(0, 0.9)
    };
    search.spec.promotion = Some(Default::default());
    search.status.as_mut().expect("a status").promoted = vec![fine_tuned];
    let cost = one_section(&given([search])).kinds[0].runs[0].cost.clone();
    let full = cost.full.as_ref().expect("a training in full");
    assert_eq!(
        (full.what.as_str(), full.steps),
        ("full fine-tuning, 20 epochs", 20 * 63)
    );
    assert_eq!(cost.in_full_trainings(), Some(0.1));
    assert_eq!(cost.trial_percent_of_steps(), Some(5.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_spread_is_that_of_its_numbers_in_any_order(mut values in proptest::collection::vec(-1e6..1e6f64, 1..20)) {
        let spread = Spread::of(values.iter().copied()).expect("a number");
        values.reverse();
        prop_assert_eq!(Spread::of(values.iter().copied()), Some(spread));
        prop_assert!(spread.least <= spread.median && spread.median <= spread.most);
        let below = values.iter().filter(|value| **value <= spread.median).count();
        let above = values.iter().filter(|value| **value >= spread.median).count();
        prop_assert!(2 * below >= values.len() && 2 * above >= values.len());
    }

    /// Whatever is compared: each search stands in one kind, nothing reached is ever lost, and the order in which
    /// searches are given says nothing.
    #[test]
    fn searches_are_measured_alike(
        plans in proptest::collection::vec((1u64..4, 3u32..12, 1u32..12, any::<bool>()), 1..6),
        budget in 0.01..100.0f64,
    ) {
        let searches: Vec<PeftSearch> = plans
            .iter()
            .enumerate()
            .map(|(place, (seed, trials, initial, is_other))| {
                let mut search = search(&format!("s{place}"), *seed, *trials, *initial);
                if *is_other {
                    search.spec.task.metric = Some(Metric::F1);
                }
                search
            })
            .collect();
        let comparison = compare(&given(searches.clone()), budget).expect("a comparison");
        let runs = || comparison.sections.iter().flat_map(|section| &section.kinds).flat_map(|kind| &kind.runs);
        let mut places: Vec<usize> = runs().map(|run| run.place).collect();
        places.sort_unstable();
        prop_assert_eq!(places, (0..searches.len()).collect::<Vec<_>>());
        for run in runs() {
            prop_assert!(run.trials.is_sorted_by(|one, next| one.volume <= next.volume));
            prop_assert!(run.trials.is_sorted_by(|one, next| one.best <= next.best));
            let best = run.trials.last().and_then(|trial| trial.best);
            prop_assert_eq!(run.front.last().map(|member| member.score), best);
            prop_assert!(run.front.is_sorted_by(|one, next| one.score < next.score && one.parameters < next.parameters));
        }
        for kind in comparison.sections.iter().flat_map(|section| &section.kinds) {
            prop_assert_eq!(kind.steps().len(), kind.least_trials());
            prop_assert!(kind.runs.iter().all(|run| (kind.strategy == Strategy::Bayesian)
                == (plans[run.place].2 < plans[run.place].1)));
        }
        let mut reversed = searches;
        reversed.reverse();
        let again = compare(&given(reversed), budget).expect("a comparison");
        let numbers = |comparison: &autopeft_search::compare::Comparison| {
            let mut found: Vec<String> = comparison
                .sections
                .iter()
                .flat_map(|section| {
                    section.kinds.iter().map(|kind| format!("{} {:?} {:?}", kind.label, kind.best(), kind.volume()))
                })
                .collect();
            found.sort();
            found
        };
        prop_assert_eq!(numbers(&comparison), numbers(&again));
    }
}
