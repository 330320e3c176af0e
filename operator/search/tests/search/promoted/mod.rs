//! What a status says of training in full: scores over seeds, the rank correlation and the recommendations.

mod outcomes;
mod transfer;

use autopeft_crds::status::{
    Attempt, LedgerEntry, PromotedResult, Recommendation, TrialOrigin, TrialState,
};
use autopeft_crds::trial::Inspection;
use autopeft_crds::{
    Decimal, Module, PeftConfiguration, PeftSearch, PeftSearchSpec, SearchSpace, limits,
};
use autopeft_search::ledger::{Conclusion, ConclusionReason, Event, Ledger, Recorded};
use autopeft_search::measures::Subject;
use autopeft_search::promotion;
use autopeft_search::report::{self, Files};
use autopeft_search::status::status;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

const BACKBONE: u64 = 100_000;

fn decimal(value: f64) -> Decimal {
    Decimal::new(value).expect("finite")
}

fn subject(promotion: Value) -> Subject {
    let spec: PeftSearchSpec = serde_json::from_value(json!({
        "model": {"source": {"path": "model"}},
        "task": {"name": "rte", "source": {"path": "data"}},
        "maxTrials": 6,
        "promotion": promotion,
    }))
    .expect("a spec");
    let model: Inspection = serde_json::from_value(json!({
        "architecture": "bert", "layers": 2, "hiddenSize": 64, "backboneParameters": BACKBONE,
        "trainExamples": 100, "validationExamples": 50,
    }))
    .expect("an inspection");
    let space = SearchSpace::resolve(&spec.search_space, 2, model.shape()).expect("a space");
    Subject::new(&spec, &space, &model)
}

/// A search whose trials have prefixes of 1, 2, 4, … in one layer, and these scores.
struct Search {
    subject: Subject,
    ledger: Ledger,
    now: Timestamp,
}

impl Search {
    fn new(promotion: Value, scores: &[f64]) -> Self {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let mut search = Self {
            subject: subject(promotion),
            ledger: Ledger::new(now),
            now,
        };
        for (trial, score) in (0..).zip(scores) {
            let configuration = PeftConfiguration::new(
                "10".parse().expect("a mask"),
                &[(Module::Prefix, 1 << trial)],
            );
            let planned = serde_json::from_value(json!({
                "trial": trial, "configuration": configuration, "origin": "Initial", "basis": 0,
                "parameters": configuration.parameters(64),
            }));
            search.apply(Event::Planned(Box::new(planned.expect("a plan"))));
            search.record(trial, *score);
        }
        search
    }

    fn apply(&mut self, event: Event) {
        self.ledger.apply(&event, self.now).expect("an event");
    }

    fn record(&mut self, trial: u32, score: f64) {
        self.record_with(trial, score, json!({}));
    }

    /// Records a score with further fields of the result.
    fn record_with(&mut self, trial: u32, score: f64, more: Value) {
        let mut outcome = json!({"succeeded": {
            "score": decimal(score), "bestEpoch": 1, "trainedParameters": 10, "deployedParameters": 8,
            "trainSeconds": "2", "peakMemoryBytes": 1, "validationExamples": 50,
        }});
        for (field, value) in more.as_object().expect("fields") {
            outcome["succeeded"][field] = value.clone();
        }
        self.apply(Event::Recorded {
            trial,
            attempt: 1,
            outcome: serde_json::from_value(outcome).expect("a result"),
            gpu_seconds: None,
        });
    }

    /// Trains everything in full: the score is `score(trial of the search, how many of its trainings came before)`.
    fn promote(&mut self, score: impl Fn(Option<u32>, u32) -> Option<f64>) {
        let wanted = promotion::wanted(&self.subject, &self.ledger);
        let mut before = std::collections::BTreeMap::new();
        while let Some(training) = promotion::missing(&self.subject.spec, &wanted, &self.ledger) {
            let planned = training.plan(&self.ledger);
            let (trial, of) = (planned.trial, planned.of_trial);
            self.apply(Event::Planned(Box::new(planned)));
            let run = Attempt { trial, attempt: 1 };
            let uid = "0b4ae1ad-1d09-4d2c-a4b8-7e7d7c4f0001";
            self.ledger.note_job(run, uid).expect("an open trial");
            let count: &mut u32 = before.entry(of).or_default();
            match score(of, *count) {
                Some(score) => self.record(trial, score),
                None => self.apply(Event::Recorded {
                    trial,
                    attempt: 1,
                    outcome: Recorded::Failed {
                        reason: autopeft_crds::trial::FailureReason::Lost,
                        message: "lost".into(),
                    },
                    gpu_seconds: None,
                }),
            }
            *count += 1;
        }
    }

    /// Plans the next training in full; gives its number.
    fn plan_next(&mut self) -> u32 {
        let wanted = promotion::wanted(&self.subject, &self.ledger);
        let training =
            promotion::missing(&self.subject.spec, &wanted, &self.ledger).expect("a training");
        let planned = training.plan(&self.ledger);
        let trial = planned.trial;
        self.apply(Event::Planned(Box::new(planned)));
        trial
    }

    fn conclude(&mut self) {
        self.apply(Event::Concluded(Conclusion {
            reason: ConclusionReason::MaxTrialsReached,
            succeeded: true,
            message: "all".into(),
        }));
    }

    fn status(&self) -> autopeft_crds::PeftSearchStatus {
        status(&self.subject, &self.ledger)
    }

    fn promoted(&self) -> Vec<PromotedResult> {
        self.status().promoted
    }

    fn recommended(&self) -> Vec<(f64, Option<u32>, u32)> {
        let all = self.status().recommended;
        let brief = |found: Recommendation| (found.budget.get(), found.trial, found.best_trial);
        all.into_iter().map(brief).collect()
    }

    /// Status and reason of the condition ProxyReliable.
    fn proxy(&self) -> Option<(String, String)> {
        let conditions = self.status().conditions;
        let found = conditions
            .into_iter()
            .find(|it| it.type_ == "ProxyReliable")?;
        Some((found.status, found.reason))
    }
}

fn trials(wanted: &[promotion::Training]) -> Vec<u32> {
    let mut trials: Vec<u32> = wanted.iter().filter_map(|one| one.of_trial).collect();
    trials.dedup();
    trials
}

const RISING: [f64; 6] = [0.50, 0.55, 0.60, 0.65, 0.70, 0.75];

#[test]
fn the_front_its_best_within_budgets_and_named_trials_are_promoted() {
    let wanted = |promotion: Value, scores: &[f64]| {
        let search = Search::new(promotion, scores);
        trials(&promotion::wanted(&search.subject, &search.ledger))
    };
    assert_eq!(wanted(json!({}), &RISING), [0, 1, 2, 3, 4, 5]);
    let falling = [0.5, 0.4, 0.6, 0.6, 0.3, 0.7];
    assert_eq!(wanted(json!({}), &falling), [0, 2, 5]);
    assert_eq!(wanted(json!({"maxConfigurations": 2}), &RISING), [0, 5]);
    assert_eq!(wanted(json!({"maxConfigurations": 1}), &RISING), [5]);
    // Prefixes of 1, 2, 4, … in one layer: 0.128 %, 0.256 %, 0.512 %, …
    let budgets = json!({"candidates": "BestWithinBudgets", "budgets": ["1", "0.1", "0.3", "0.4"]});
    assert_eq!(wanted(budgets, &RISING), [2, 1]);
    let named = json!({"candidates": "NamedTrials", "trials": [4, 77, 1]});
    assert_eq!(wanted(named, &falling), [4, 1]);
    assert_eq!(wanted(json!({"trials": [4, 2]}), &falling), [0, 2, 5, 4]);
}

#[test]
fn a_training_in_full_has_its_own_terms() {
    let search = Search::new(
        json!({
            "candidates": "NamedTrials", "trials": [0], "seeds": 2, "epochs": 7, "patience": 3,
            "learningRate": "3e-4", "baselines": ["SerialAdapter", "FullFineTuning"],
        }),
        &RISING,
    );
    let wanted = promotion::wanted(&search.subject, &search.ledger);
    let terms: Vec<Value> = wanted.iter().map(|one| json!(one.terms)).collect();
    let fidelity = json!({"epochs": 7, "stepsPercent": 100});
    let own = |seed: u32| json!({"fidelity": fidelity, "seed": seed, "patience": 3});
    let given = |seed: u32| {
        let mut terms = own(seed);
        terms["learningRate"] = json!("0.0003");
        terms
    };
    let expected = [given(43), given(44), given(43), given(44), own(43), own(44)];
    assert_eq!(terms, expected);
}

#[test]
fn results_are_summed_up_over_the_seeds() {
    let mut search = Search::new(
        json!({"candidates": "NamedTrials", "trials": [3, 1], "seeds": 3}),
        &RISING,
    );
    assert_eq!(search.promoted(), []);
    search.promote(|of, seed| {
        Some(if of == Some(1) {
            0.6 + 0.1 * f64::from(seed)
        } else {
            0.5
        })
    });
    let promoted = search.promoted();
    let [one, three] = promoted.as_slice() else {
        panic!("{promoted:?}");
    };
    assert_eq!((one.trial, three.trial), (Some(1), Some(3)));
    assert_eq!(
        (one.mean, one.standard_deviation),
        (Some(decimal(0.7)), Some(decimal(0.1)))
    );
    assert_eq!(three.standard_deviation, Some(decimal(0.0)));
    assert_eq!(one.search_score, Some(decimal(0.55)));
    assert_eq!(one.progress, "3/3");
    assert_eq!(one.train_seconds, Some(decimal(2.0)));
    let seeds: Vec<(u64, u32)> = one
        .seeds
        .iter()
        .map(|seed| (seed.seed, seed.trial))
        .collect();
    assert_eq!(seeds, [(43, 9), (44, 10), (45, 11)]);
}

/// Scores by training in full of trials 0, 1, 2, …, with the same spread.
fn of(means: &'static [f64], spread: f64) -> impl Fn(Option<u32>, u32) -> Option<f64> {
    move |of, seed| {
        let mean = means.get(of? as usize)?;
        Some(mean + spread * (f64::from(seed) - 1.0))
    }
}

#[test]
fn the_smallest_within_one_standard_error_of_the_best_is_recommended() {
    let promotion = json!({"seeds": 3, "budgets": ["5", "0.2", "1"]});
    let mut search = Search::new(promotion.clone(), &RISING);
    // The standard error of three scores 0.02 apart is 0.0115.
    search.promote(of(&[0.50, 0.60, 0.605, 0.61, 0.615, 0.63], 0.02));
    let best_seeds = |search: &Search| search.recommended();
    assert_eq!(
        best_seeds(&search),
        [(0.2, Some(0), 8), (1.0, Some(1), 11), (5.0, Some(5), 23)]
    );
    let mut search = Search::new(promotion, &RISING);
    search.promote(of(&[0.50, 0.60, 0.605, 0.61, 0.62, 0.63], 0.02));
    assert_eq!(search.recommended()[2].1, Some(4));
    let taken = &search.status().recommended[2];
    assert_eq!(
        (taken.mean, taken.best_mean),
        (decimal(0.62), decimal(0.63))
    );
    assert_eq!(taken.standard_error, Some(decimal(0.0115470)));
}

#[test]
fn with_one_seed_the_best_is_recommended_and_usual_budgets_only_where_they_differ() {
    let mut search = Search::new(json!({"seeds": 1}), &RISING);
    search.promote(of(&[0.50, 0.60, 0.70, 0.70, 0.65, 0.65], 0.0));
    // 0.128, 0.256 and 0.512 % are within 1 %, the others within 10 %, and nothing is within 0.1 %.
    assert_eq!(
        search.recommended(),
        [(1.0, Some(2), 8), (10.0, Some(2), 8)]
    );
}

#[test]
fn what_has_lost_a_training_is_not_recommended() {
    let mut search = Search::new(json!({"seeds": 2, "budgets": ["10"]}), &RISING);
    let scores = of(&[0.50, 0.60, 0.605, 0.61, 0.62, 0.70], 0.0);
    search.promote(|trial, seed| scores(trial, seed).filter(|_| (trial, seed) != (Some(5), 1)));
    assert_eq!(search.recommended()[0].1, Some(4));
    let lost = search.promoted().pop().expect("the largest");
    assert_eq!((lost.progress.as_str(), lost.seeds.len()), ("2/2", 1));
}

#[test]
fn baselines_compete_and_are_no_part_of_the_rank_correlation() {
    let promotion = json!({"seeds": 1, "baselines": ["FullFineTuning"]});
    let mut search = Search::new(promotion, &RISING);
    let scores = of(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0.0);
    search.promote(|trial, seed| scores(trial, seed).or(Some(0.9)));
    let last = search.status().recommended.pop().expect("one");
    assert_eq!(
        last.baseline,
        Some(autopeft_crds::spec::BaselineName::FullFineTuning)
    );
    assert_eq!(last.budget, decimal(100.0));
    let correlation = search.status().rank_correlation.expect("six scores");
    assert_eq!(
        (correlation.configurations, correlation.kendall_tau),
        (6, decimal(1.0))
    );
    assert_eq!(search.status().baselines, []);
}

#[test]
fn the_rank_correlation_is_a_condition() {
    let verdict = |means: &'static [f64], scores: &[f64]| {
        let mut search = Search::new(json!({"seeds": 1, "trials": [0, 1, 2, 3, 4, 5]}), scores);
        search.promote(of(means, 0.0));
        let before = search.proxy().expect("a condition");
        assert_eq!(before, ("Unknown".into(), "InProgress".into()));
        search.conclude();
        search.proxy().expect("a condition")
    };
    let expected = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    let rising = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    assert_eq!(verdict(rising, &RISING), expected("True", "RanksAgree"));
    let mut falling = RISING;
    falling.reverse();
    assert_eq!(
        verdict(rising, &falling),
        expected("False", "RanksDisagree")
    );
    let mixed = &[0.3, 0.1, 0.6, 0.2, 0.5, 0.4];
    assert_eq!(
        verdict(mixed, &RISING),
        expected("Unknown", "NotSignificant")
    );
    let equal = &[0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
    assert_eq!(
        verdict(equal, &RISING),
        expected("Unknown", "NotComparable")
    );
    assert_eq!(verdict(rising, &RISING[..4]), expected("Unknown", "TooFew"));
}

#[test]
fn results_on_other_terms_do_not_count() {
    let mut search = Search::new(json!({"seeds": 1}), &RISING);
    search.promote(of(&RISING, 0.0));
    assert_eq!(search.promoted().len(), 6);
    search.subject = subject(json!({"seeds": 1, "epochs": 3}));
    assert_eq!(search.promoted(), []);
    let promotions = search.ledger.entries().iter();
    let kept = promotions.filter(|entry| entry.origin == TrialOrigin::Promotion);
    let is_scored = |entry: &LedgerEntry| entry.state == TrialState::Succeeded;
    assert_eq!(kept.filter(|entry| is_scored(entry)).count(), 6);
}

/// The object of a search on one machine.
fn object(search: &Search) -> PeftSearch {
    PeftSearch {
        metadata: Default::default(),
        spec: search.subject.spec.clone(),
        status: Some(search.status()),
    }
}

#[test]
fn as_many_trainings_in_full_as_the_rules_allow_fit_into_the_object() {
    let mut search = Search::new(
        json!({
            "seeds": 50, "learningRate": "3e-4", "patience": 3,
            "evaluation": {"testFile": format!("{}.tsv", "t".repeat(252))},
        }),
        &RISING,
    );
    search.promote(|of, seed| Some(f64::from(seed + of?) / 3.0e3));
    let object = serde_json::to_vec(&object(&search)).expect("JSON");
    let entries = search.ledger.entries().len();
    assert_eq!(entries, 306);
    let each = object.len() as u64 / entries as u64;
    assert!(each < limits::ENTRY_BYTES, "{each} bytes a trial");
    assert!(
        each > limits::ENTRY_BYTES / 2,
        "the bound is far too large for {each} bytes a trial"
    );
}

#[test]
fn the_answer_is_printed_with_its_commands() {
    let mut search = Search::new(
        json!({"seeds": 3, "budgets": ["1", "5"], "baselines": ["FullFineTuning"]}),
        &RISING,
    );
    let asked = |search: &Search, budget: Option<f64>| {
        let object = object(search);
        let files = Files::of_workdir("runs/a b", &object.spec);
        report::best(&object, Some(&files), budget.map(decimal), "run again")
    };
    let none = asked(&search, None)
        .expect_err("nothing is trained")
        .to_string();
    assert!(none.contains("none has begun"), "{none}");
    let scores = of(&[0.50, 0.60, 0.605, 0.61, 0.62, 0.63], 0.02);
    search.promote(|trial, seed| scores(trial, seed).or(Some(0.9)));
    let text = asked(&search, None).expect("an answer");
    let expected = "\
within 1 % of the backbone's parameters: trial 1
  why            the fewest parameters within one standard error, 0.0115, of the best mean accuracy, 0.6050
  configuration  layers 10, SA 0, PA 0, prefix 2
  accuracy       0.6000 ± 0.0200 over 3 seeds
  parameters     256 (0.256 %)
  adapter        runs/a b/adapters/trial-11, of the best seed
  evaluate       peft-trainer evaluate --adapter 'runs/a b/adapters/trial-11' --model MODEL --data DATA
  export         peft-trainer export 'runs/a b/adapters/trial-11' --format adapters --out OUT
  train again    peft-trainer train --request 'runs/a b/trials/0011-1/request.json' --out OUT

within 5 % of the backbone's parameters: trial 4
";
    assert!(text.starts_with(expected), "{text}");
    // Full fine-tuning is the best of all, and has no adapter to export.
    let all = asked(&search, Some(100.0)).expect("an answer");
    assert!(all.contains("the baseline full fine-tuning"), "{all}");
    assert!(!all.contains("export") && all.contains("evaluate"), "{all}");
    let small = asked(&search, Some(0.1))
        .expect_err("too small")
        .to_string();
    assert!(
        small.ends_with("within 0.1 %; the smallest has 0.128 %"),
        "{small}"
    );

    search.conclude();
    let page = report::report_html(&object(&search), &[]).expect("a page");
    for words in [
        "<h2 id=\"answer\">Trained in full</h2>",
        "Kendall's tau of the search's scores and those of training in full: 1.00 over 6 configurations",
        "<b>Within 5 %: trial 4</b>",
        "peft-trainer export adapters/trial-20 --format adapters --out OUT",
        "peft-trainer train --request trials/0020-1/request.json --out OUT",
        "0.6200 ± 0.0200",
    ] {
        assert!(page.contains(words), "{words:?} is not on the page");
    }
    let table = report::front_table(&search.subject.spec, &search.status());
    assert!(
        table.contains("recommended within 5 %: trial 4, accuracy 0.6200 ± 0.0200, 2.05 %"),
        "{table}"
    );
}
