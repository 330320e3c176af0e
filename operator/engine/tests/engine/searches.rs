//! Spaces, problems and histories that several tests use.

use std::collections::HashSet;

use autopeft_crds::space::LayerChoice;
use autopeft_crds::{Module, PeftConfiguration, SearchSpace, SearchSpaceSpec};
use autopeft_engine::{NutsSettings, Observation, Outcome, Problem, Settings, Suggestion, suggest};

pub fn base() -> SearchSpace {
    SearchSpace::resolve(&SearchSpaceSpec::default(), 12, 768).expect("the paper's space")
}

/// 15 masks, 8 combinations of sizes: 105 + 1 configurations.
pub fn small() -> SearchSpace {
    SearchSpace::new(
        vec![LayerChoice::Free; 4],
        &[
            (Module::SerialAdapter, &[0, 2]),
            (Module::ParallelAdapter, &[0, 1]),
            (Module::Prefix, &[0, 4]),
        ],
        8,
    )
}

pub fn problem(space: SearchSpace) -> Problem {
    Problem {
        space,
        settings: Settings {
            initial_trials: 5,
            nuts: NutsSettings {
                warmup: 24,
                samples: 16,
                thinning: 8,
                max_tree_depth: 4,
            },
            mc_samples: 16,
            restarts: 4,
            evaluations: 25,
            ..Settings::default()
        },
        seed: 7,
        max_parameters: None,
        min_score: None,
        reference: None,
    }
}

pub fn scored(configuration: PeftConfiguration, score: f64) -> Observation {
    Observation {
        configuration,
        outcome: Outcome::Scored {
            score,
            noise_variance: None,
        },
    }
}

/// A score with a maximum in the middle.
pub fn score(c: &PeftConfiguration) -> f64 {
    let bits = c.layers.bits();
    let of_layers = f64::from(u8::from(bits[1])) + 0.5 * f64::from(u8::from(bits[3]));
    of_layers * f64::from(c.size(Module::SerialAdapter) + c.size(Module::ParallelAdapter)).ln_1p()
        - 0.01 * f64::from(c.size(Module::Prefix))
}

/// `trials` observations by suggestions.
pub fn history(problem: &Problem, trials: usize) -> Vec<Observation> {
    let mut observations = Vec::new();
    for trial in 0..trials {
        let next = suggest(problem, &observations, &[])
            .expect("a suggestion")
            .configuration;
        observations.push(if trial % 6 == 4 {
            Observation {
                configuration: next,
                outcome: Outcome::Infeasible,
            }
        } else {
            let value = score(&next);
            scored(next, value)
        });
    }
    observations
}

pub fn check(problem: &Problem, suggestion: &Suggestion, used: &HashSet<PeftConfiguration>) {
    let c = &suggestion.configuration;
    assert_eq!(c, &c.clone().canonical());
    assert!(problem.space.contains(c), "{c}");
    assert!(!used.contains(c), "{c} again");
    let cost = c.parameters(problem.space.shape);
    assert!(
        problem.max_parameters.is_none_or(|most| cost <= most),
        "{cost}"
    );
    assert!(suggestion.acquisition.is_none_or(f64::is_finite));
    if let Some(predicted) = suggestion.predicted {
        assert!(predicted.mean.is_finite() && predicted.deviation.is_finite());
    }
}
