//! The estimate finds the costs that the probes' ledgers were made with.

use autopeft_crds::status::LedgerEntry;
use autopeft_crds::trial::Inspection;
use autopeft_crds::validate::validate;
use autopeft_crds::{Module, PeftConfiguration, PeftSearchSpec};
use autopeft_search::estimate::{CONFIGURATIONS, Estimate, PROBES, estimate, probes};
use autopeft_search::report;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Training and validation examples of RTE.
const EXAMPLES: [u64; 2] = [2490, 277];

fn spec(more: &Value) -> PeftSearchSpec {
    let mut fields = json!({
        "model": {"source": {"path": "model"}},
        "task": {"name": "rte", "source": {"path": "data"}},
        "baselines": ["SerialAdapter"],
        "parallelism": 4,
    });
    for (name, value) in more.as_object().expect("an object") {
        fields[name] = value.clone();
    }
    serde_json::from_value(fields).expect("a spec")
}

fn model() -> Inspection {
    serde_json::from_value(json!({
        "architecture": "bert", "layers": 2, "hiddenSize": 64, "backboneParameters": 100_000,
        "trainExamples": EXAMPLES[0], "validationExamples": EXAMPLES[1],
    }))
    .expect("an inspection")
}

/// Seconds of a training: before it, a step, a validated example.
type Cost = [f64; 3];

/// The trials of a probe, each as long as its cost says.
fn ledger(spec: &PeftSearchSpec, costs: &[Cost], gpu: bool) -> Vec<LedgerEntry> {
    let fidelity = &spec.fidelity;
    let examples = u64::from(fidelity.train_examples.expect("a sample"));
    let steps = fidelity.steps(examples, u64::from(spec.training.batch_size)) as f64;
    let validated = f64::from(fidelity.epochs * fidelity.validation_examples.expect("a sample"));
    let planned = Timestamp::from_second(1_000_000).expect("a time");
    let configuration =
        PeftConfiguration::new("10".parse().expect("a mask"), &[(Module::Prefix, 1)]);
    (0..)
        .zip(costs)
        .map(|(trial, [start, step, validation])| {
            let seconds = step * steps + validation * validated;
            let baseline = spec
                .baselines
                .get((trial as usize).wrapping_sub(CONFIGURATIONS as usize));
            let mut entry = json!({
                "trial": trial, "configuration": configuration, "parameters": 1, "attempt": 1,
                "origin": if baseline.is_some() { "Baseline" } else { "Initial" },
                "state": "Succeeded", "score": "0.5", "trainSeconds": seconds.to_string(),
            });
            if let Some(name) = baseline {
                entry["baseline"] = json!(name);
            }
            if gpu {
                entry["gpuSeconds"] = json!("1");
            }
            let mut entry: LedgerEntry = serde_json::from_value(entry).expect("an entry");
            let whole = SignedDuration::from_secs_f64(start + seconds);
            entry.planned_at = Some(Time(planned));
            entry.finished_at = Some(Time(planned + whole));
            entry
        })
        .collect()
}

fn of(spec: &PeftSearchSpec, costs: &[Cost], gpu: bool) -> Estimate {
    let ledgers = probes(spec).map(|probe| ledger(&probe, costs, gpu));
    estimate(spec, &model(), &ledgers).expect("an estimate")
}

proptest! {
    #[test]
    fn linear_costs_are_found(
        costs in prop::collection::vec([0.0..20.0, 1e-3..5.0, 0.0..0.1], CONFIGURATIONS as usize + 1),
        epochs in 1u32..5,
    ) {
        let spec = spec(&json!({"fidelity": {"epochs": epochs}}));
        let found = of(&spec, &costs, false);
        let steps = u64::from(epochs) * EXAMPLES[0].div_ceil(32);
        let whole = |[start, step, validation]: &Cost| {
            start + step * steps as f64 + validation * (u64::from(epochs) * EXAMPLES[1]) as f64
        };
        let (searched, baseline) = costs.split_at(CONFIGURATIONS as usize);
        let mean = searched.iter().map(whole).sum::<f64>() / searched.len() as f64;
        for (part, expected) in found.parts.iter().zip([mean, whole(&baseline[0])]) {
            prop_assert_eq!(part.steps, steps);
            prop_assert!((part.seconds / expected - 1.0).abs() < 1e-4, "{} {}", part.seconds, expected);
        }
    }
}

#[test]
fn probes_are_valid_and_short_whatever_the_search_asks_for() {
    let spec = spec(&json!({
        "maxTrials": 200, "maxGpuSeconds": 60, "activeDeadlineSeconds": 60, "suspend": true,
        "convergence": {"trials": 10}, "training": {"patience": 1},
        "promotion": {"baselines": ["FullFineTuning", "SerialAdapter"]},
        "transfer": {"tasks": [{"name": "mrpc", "task": {"name": "mrpc", "source": {"path": "mrpc"}}}]},
    }));
    for probe in probes(&spec) {
        assert_eq!(validate(&probe), []);
        assert_eq!(probe.max_trials, CONFIGURATIONS);
        assert_eq!(probe.baselines.len(), 2, "each once: {:?}", probe.baselines);
        let examples = u64::from(probe.fidelity.train_examples.expect("a sample"));
        assert!(probe.fidelity.steps(examples, 32) <= 6);
        assert!(probe.training.patience >= probe.fidelity.epochs);
        assert!(!probe.suspend && probe.promotion.is_none() && probe.transfer.is_none());
    }
}

#[test]
fn promotion_and_gpus_are_counted_and_told() {
    let spec = spec(&json!({
        "maxTrials": 100,
        "promotion": {"maxConfigurations": 4, "baselines": ["FullFineTuning"]},
        "transfer": {"tasks": [
            {"name": "mrpc", "task": {"name": "mrpc", "source": {"path": "mrpc"}}},
            {"name": "cola", "task": {"name": "cola", "source": {"path": "cola"}}},
        ]},
        "trainer": {"resources": {"gpus": 2}},
    }));
    let mut costs = vec![[1.0, 0.1, 0.0]; CONFIGURATIONS as usize + 1];
    costs.push([1.0, 0.3, 0.0]);
    let found = of(&spec, &costs, true);
    let trainings: Vec<u64> = found.parts.iter().map(|part| part.trainings).collect();
    assert_eq!(trainings, [100, 1, 20, 5, 50]);
    let full = EXAMPLES[0].div_ceil(32) * 20;
    assert_eq!(found.parts[3].steps, full);
    assert!((found.parts[3].seconds - (1.0 + 0.3 * full as f64)).abs() < 1e-3);
    let in_full = found.parts[2].total() + found.parts[3].total();
    assert!((found.parts[4].total() / (2.0 * in_full) - 1.0).abs() < 1e-6);
    let told = report::estimate(&found);
    for words in [
        "trained in full: full fine-tuning",
        "on other tasks, 2, as if each had as many examples as spec.task",
        "4 at a time",
        "GPU seconds: ",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let gpu_seconds = (found.total() * 2.0).ceil() as u64;
    let digits: String = told
        .lines()
        .find(|line| line.starts_with("GPU"))
        .expect("a line")
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    assert_eq!(digits, gpu_seconds.to_string());
}

#[test]
fn a_probe_that_fails_is_told() {
    let spec = spec(&json!({}));
    let costs = vec![[1.0, 0.1, 0.0]; CONFIGURATIONS as usize + 1];
    let mut ledgers: [_; PROBES] = probes(&spec).map(|probe| ledger(&probe, &costs, false));
    ledgers[1][2].state = autopeft_crds::status::TrialState::Failed;
    ledgers[1][2].message = Some("out of memory".into());
    let error = estimate(&spec, &model(), &ledgers).expect_err("it failed");
    assert_eq!(
        error.to_string(),
        "the probe of trial 2 was not trained: out of memory"
    );
}
