//! No status, however odd, makes a report panic or its figures unreadable for a parser.

use autopeft_crds::LedgerEntry;
use autopeft_crds::spec::BaselineName;
use autopeft_crds::status::{BaselineResult, TrialOrigin, TrialState};
use proptest::prelude::*;

use super::searches::{asked, configuration, decimal, entry, with_ledger};

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1.0..=1.0f64,
        1 => Just(0.0),
        1 => proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
    ]
}

fn trial() -> impl Strategy<Value = LedgerEntry> {
    (
        "[01]{1,64}",
        any::<[u32; 3]>(),
        (0..4usize, 0..4usize),
        proptest::option::of(number()),
        proptest::option::of((number(), number())),
        proptest::option::of(".{0,40}"),
        prop_oneof![Just(None), any::<u64>().prop_map(Some)],
    )
        .prop_map(
            |(layers, sizes, (origin, state), score, predicted, message, count)| {
                let sizes = sizes.map(|size| size >> (size % 32));
                let mut entry = entry(0, configuration(&layers, sizes[0], sizes[1], sizes[2]));
                entry.origin = [
                    TrialOrigin::Initial,
                    TrialOrigin::Bayesian,
                    TrialOrigin::Random,
                    TrialOrigin::Baseline,
                ][origin];
                entry.state = [
                    TrialState::Planned,
                    TrialState::Succeeded,
                    TrialState::Infeasible,
                    TrialState::Failed,
                ][state];
                entry.score = score.map(decimal);
                entry.predicted_mean = predicted.map(|(mean, _)| decimal(mean));
                entry.predicted_deviation = predicted.map(|(_, deviation)| decimal(deviation));
                entry.message = message;
                if let Some(count) = count {
                    entry.parameters = count;
                }
                entry
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_panics(
        name in ".{0,300}",
        mut ledger in proptest::collection::vec(trial(), 0..40),
        inspected in any::<bool>(),
        backbone in prop_oneof![Just(0u64), Just(1), Just(u64::MAX), 1_000_000..1_000_000_000u64],
    ) {
        for (trial, entry) in ledger.iter_mut().enumerate() {
            entry.trial = u32::try_from(trial).expect("few");
        }
        let baselines = ledger.iter().filter_map(|entry| Some(BaselineResult {
            name: BaselineName::FullFineTuning,
            trial: entry.trial,
            score: entry.score.filter(|_| entry.origin == TrialOrigin::Baseline)?,
            metrics: entry.metrics.clone(),
            parameters: entry.parameters,
            parameters_percent: decimal(0.0),
        }));
        let baselines = baselines.collect();
        let mut search = with_ledger(asked(&name, 500), ledger, baselines);
        let status = search.status.as_mut().expect("a status");
        match &mut status.inspection {
            Some(found) if inspected => found.backbone_parameters = backbone,
            inspection => *inspection = None,
        }
        super::check(&search);
    }

    #[test]
    fn no_trace_panics(trace in proptest::collection::vec((any::<u32>(), any::<f64>()), 0..40)) {
        let html = autopeft_search::report::report_html(&asked("trace", 40), &trace);
        prop_assert!(html.is_ok());
    }
}
