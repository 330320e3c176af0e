//! Suggestions: usable, reproducible, and told apart by their hashes.

use std::cell::Cell;
use std::collections::HashSet;

use autopeft_crds::{Module, PeftConfiguration};
use autopeft_engine::problem::canonical_set::CanonicalSet;
use autopeft_engine::{
    FitMethod, InitialDesign, InputError, NutsSettings, Observation, Origin, Outcome, Problem,
    ReferencePoint, ScoreTransform, Settings, SuggestError, Suggestion, suggest,
    suggest_cancellable,
};
use proptest::prelude::*;

use crate::searches::{base, check, history, problem, score, scored, small};

#[test]
fn the_same_inputs_give_the_same_bits() {
    let problem = problem(base());
    let observations = history(&problem, 9);
    let pending = [
        CanonicalSet::new(&problem.space, None)
            .nth(17)
            .expect("a configuration"),
        CanonicalSet::new(&problem.space, None)
            .nth(99)
            .expect("a configuration"),
    ];
    let first = suggest(&problem, &observations, &pending).expect("a suggestion");
    assert_eq!(first.origin, Origin::Bayesian);
    let bits = |s: &Suggestion| {
        let predicted = s.predicted.expect("a prediction");
        (
            s.acquisition.expect("a value").to_bits(),
            predicted.mean.to_bits(),
            predicted.deviation.to_bits(),
        )
    };
    let second = suggest(&problem, &observations, &pending).expect("a suggestion");
    assert_eq!(first, second);
    assert_eq!(bits(&first), bits(&second));
    // The pending ones are a set.
    let [a, b] = pending;
    let swapped = suggest(&problem, &observations, &[b, a]).expect("a suggestion");
    assert_eq!(first, swapped);
    let report = first.surrogate.expect("a surrogate");
    assert_eq!(report.method, FitMethod::Nuts, "{:?}", report.reasons);
    assert_eq!(report.relevance.len(), 15);
    assert_eq!(report.relevance[1].0, "layer 1");
    assert_eq!(report.relevance[12].0, "serialAdapter");
}

#[test]
fn the_hash_tells_inputs_apart() {
    let problem = problem(small());
    let observations = history(&problem, 3);
    let hash = |problem: &Problem, observations: &[Observation]| {
        suggest(problem, observations, &[])
            .expect("a suggestion")
            .inputs_hash
    };
    let mut hashes = HashSet::from([hash(&problem, &observations)]);
    assert!(hashes.contains(&hash(&problem, &observations)));
    let mut swapped = observations.clone();
    swapped.swap(0, 1);
    assert!(hashes.insert(hash(&problem, &swapped)));
    let mut nudged = observations.clone();
    let value = score(&nudged[0].configuration);
    nudged[0] = scored(nudged[0].configuration.clone(), value + 1e-12);
    assert!(hashes.insert(hash(&problem, &nudged)));
    for changed in [
        Problem {
            seed: 8,
            ..problem.clone()
        },
        Problem {
            max_parameters: Some(1000),
            ..problem.clone()
        },
        Problem {
            min_score: Some(0.0),
            ..problem.clone()
        },
        Problem {
            settings: Settings {
                mc_samples: 17,
                ..problem.settings
            },
            ..problem.clone()
        },
        Problem {
            settings: Settings {
                score_transform: ScoreTransform::Copula,
                ..problem.settings
            },
            ..problem.clone()
        },
    ] {
        assert!(hashes.insert(hash(&changed, &observations)), "{changed:?}");
    }
}

#[test]
fn a_small_space_is_exhausted_exactly() {
    for (initial_trials, max_parameters) in [(500, None), (3, Some(70))] {
        let mut problem = problem(small());
        problem.settings.initial_trials = initial_trials;
        problem.max_parameters = max_parameters;
        let count = CanonicalSet::new(&problem.space, max_parameters).count();
        let mut observations = Vec::new();
        let mut used = HashSet::new();
        for _ in 0..count {
            let next = suggest(&problem, &observations, &[]).expect("one is left");
            check(&problem, &next, &used);
            used.insert(next.configuration.clone());
            let value = score(&next.configuration);
            observations.push(scored(next.configuration, value));
        }
        let end = suggest(&problem, &observations, &[]);
        assert_eq!(
            end,
            Err(SuggestError::Exhausted {
                configurations: count
            })
        );
    }
}

#[test]
fn designs_are_distinct_and_within_budget() {
    for initial_design in [InitialDesign::Random, InitialDesign::Sobol] {
        for max_parameters in [None, Some(20_000)] {
            let mut problem = problem(base());
            problem.settings.initial_design = initial_design;
            problem.settings.initial_trials = 64;
            problem.max_parameters = max_parameters;
            let mut used = HashSet::new();
            let mut pending = Vec::new();
            let mut active = 0;
            for _ in 0..64 {
                let next = suggest(&problem, &[], &pending).expect("a suggestion");
                assert_eq!(next.origin, Origin::Initial);
                check(&problem, &next, &used);
                active += next.configuration.layers.active();
                used.insert(next.configuration.clone());
                pending.push(next.configuration);
            }
            if max_parameters.is_none() {
                // 768 bits: mean ½, deviation √768 / 2 of their sum.
                assert!(
                    (active as f64 - 384.0).abs() < 4.0 * 768_f64.sqrt() / 2.0,
                    "{active}"
                );
            }
        }
    }
}

#[test]
fn awkward_observations_are_no_obstacle() {
    let problem = Problem {
        settings: Settings {
            initial_trials: 0,
            ..problem(base()).settings
        },
        ..problem(base())
    };
    let set = CanonicalSet::new(&problem.space, None);
    let nth = |index| set.nth(index).expect("a configuration");
    let infeasible = |index| Observation {
        configuration: nth(index),
        outcome: Outcome::Infeasible,
    };
    let run = |observations: &[Observation]| {
        let next = suggest(&problem, observations, &[]).expect("a suggestion");
        let used = observations
            .iter()
            .map(|o| o.configuration.clone())
            .collect();
        check(&problem, &next, &used);
        next.origin
    };
    let random = |origin| matches!(origin, Origin::Random { .. });
    assert!(random(run(&[])));
    assert!(random(run(&[infeasible(5), infeasible(6)])));
    assert_eq!(run(&[scored(nth(500), 0.5)]), Origin::Bayesian);
    // The empty model alone: nothing is cheaper.
    run(&[scored(nth(0), 0.5)]);
    let constant: Vec<_> = (1..8).map(|i| scored(nth(i * 1000), 0.5)).collect();
    run(&constant);
    let repeated: Vec<_> = (0..8)
        .map(|i| scored(nth(1000), 0.5 + 0.01 * f64::from(i)))
        .collect();
    run(&repeated);
    let wild: Vec<_> = (1..8)
        .map(|i| scored(nth(i * 1000), 10_f64.powi(i as i32 * 20)))
        .collect();
    run(&wild);
    let failed = Observation {
        configuration: nth(77),
        outcome: Outcome::Failed,
    };
    assert!(random(run(std::slice::from_ref(&failed))));
}

#[test]
fn bad_inputs_are_errors() {
    let problem = problem(small());
    let nan = scored(PeftConfiguration::empty(4).expect("a mask"), f64::NAN);
    let found = suggest(&problem, &[nan], &[]);
    assert!(
        matches!(found, Err(SuggestError::Input(InputError::NotFinite(_)))),
        "{found:?}"
    );
    let other = PeftConfiguration::empty(5).expect("a mask");
    let found = suggest(&problem, &[], &[other]);
    assert!(
        matches!(
            found,
            Err(SuggestError::Input(InputError::NotInSpace { .. }))
        ),
        "{found:?}"
    );
    let mut zero = problem.clone();
    zero.settings.restarts = 0;
    assert_eq!(
        suggest(&zero, &[], &[]),
        Err(SuggestError::Input(InputError::Setting("restarts")))
    );
}

#[test]
fn a_cancelled_suggestion_ends_early() {
    let problem = problem(base());
    let observations = history(&problem, problem.settings.initial_trials + 2);
    let asked = Cell::new(0_u32);
    let cancelled_from = |most: u32| {
        asked.set(0);
        suggest_cancellable(&problem, &observations, &[], &|| {
            asked.set(asked.get() + 1);
            asked.get() > most
        })
    };
    // Asked to the end, it says what `suggest` says.
    let whole = cancelled_from(u32::MAX);
    assert_eq!(whole, suggest(&problem, &observations, &[]));
    let times = asked.get();
    assert!(times > 100, "asked {times} times only");
    // During the fit, during the local search, and when all is computed.
    for most in [0, 20, times / 2, times - 1] {
        assert_eq!(cancelled_from(most), Err(SuggestError::Cancelled), "{most}");
        let later = asked.get() - most;
        assert!(most > 20 || later < 5, "it went on: asked {later} times");
    }
}

#[test]
fn the_surrogate_learns_infeasible_configurations() {
    // Everything with a prefix fails; what is left must be preferred.
    let mut problem = problem(base());
    problem.settings.initial_trials = 30;
    let mut observations = Vec::new();
    for _ in 0..30 {
        let next = suggest(&problem, &observations, &[])
            .expect("a suggestion")
            .configuration;
        let value = score(&next);
        observations.push(if next.size(Module::Prefix) > 24 {
            Observation {
                configuration: next,
                outcome: Outcome::Infeasible,
            }
        } else {
            scored(next, value)
        });
    }
    problem.settings.nuts = NutsSettings {
        warmup: 64,
        samples: 32,
        ..NutsSettings::default()
    };
    let mut failing = 0;
    for seed in 0..6 {
        problem.seed = seed;
        let next = suggest(&problem, &observations, &[]).expect("a suggestion");
        failing += u32::from(next.configuration.size(Module::Prefix) > 24);
    }
    assert!(failing <= 1, "{failing} of 6, where chance gives 3");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn suggestions_are_always_usable(
        trials in 0_usize..12,
        pending in prop::collection::vec(0_u128..100, 0..4),
        budget in prop::option::of(100_u64..500),
        min_score in prop::option::of(-0.5..2.0),
        reference in prop::option::of((-1.0..3.0, 0.0..600.0)),
        copula: bool,
        noisy: bool,
        seed: u64,
    ) {
        let mut problem = problem(small());
        problem.seed = seed;
        problem.settings.initial_trials = 4;
        problem.settings.evaluations = 10;
        problem.max_parameters = budget;
        problem.min_score = min_score;
        problem.reference = reference.map(|(score, parameters)| ReferencePoint { score, parameters });
        if copula {
            problem.settings.score_transform = ScoreTransform::Copula;
        }
        let mut observations = history(&problem, trials);
        if noisy && let Some(observation) = observations.first_mut() {
            observation.outcome = Outcome::Scored { score: 0.3, noise_variance: Some(0.04) };
        }
        let set = CanonicalSet::new(&problem.space, None);
        let pending: Vec<_> = pending.into_iter().filter_map(|index| set.nth(index)).collect();
        let used = observations.iter().map(|o| &o.configuration).chain(&pending).cloned().collect();
        match suggest(&problem, &observations, &pending) {
            Ok(next) => check(&problem, &next, &used),
            Err(error) => {
                let exhausted = matches!(error, SuggestError::Exhausted { .. });
                prop_assert!(exhausted, "{}", error);
            }
        }
    }
}
