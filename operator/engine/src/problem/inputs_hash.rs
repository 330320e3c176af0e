//! The hash of everything that a suggestion is computed from.
//!
//! Each value is written with a fixed width or after its length, numbers by their exact bits, so
//! that different inputs are different bytes. The structs are destructured without `..`: a new
//! field fails to compile until it is part of the hash.

use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::{Module, PeftConfiguration, SearchSpace, Shape};

use super::{Observation, Outcome, Problem, Settings};
use crate::acquisition::nehvi::NEHVI;
use crate::surrogate::settings::NutsSettings;

/// 16 hexadecimal digits for the problem, the observations in their order and the pending
/// configurations in theirs.
pub(crate) fn inputs_hash(
    problem: &Problem,
    observations: &[Observation],
    pending: &[&PeftConfiguration],
) -> String {
    let mut text = Text(b"autopeft suggestion 1".to_vec());
    text.problem(problem);
    text.length(observations.len());
    for Observation {
        configuration,
        outcome,
    } in observations
    {
        text.configuration(configuration);
        match outcome {
            Outcome::Scored {
                score,
                noise_variance,
            } => {
                text.integer(0);
                text.float(*score);
                text.option(noise_variance.map(f64::to_bits));
            }
            Outcome::Infeasible => text.integer(1),
            Outcome::Failed => text.integer(2),
        }
    }
    text.length(pending.len());
    for configuration in pending {
        text.configuration(configuration);
    }
    hex_prefix(&text.0)
}

struct Text(Vec<u8>);

impl Text {
    fn problem(&mut self, problem: &Problem) {
        let Problem {
            space,
            settings,
            seed,
            max_parameters,
            min_score,
            reference,
        } = problem;
        self.space(space);
        self.settings(settings);
        self.integer(*seed);
        self.option(*max_parameters);
        self.option(min_score.map(f64::to_bits));
        self.option(reference.map(|point| point.score.to_bits()));
        self.option(reference.map(|point| point.parameters.to_bits()));
    }

    fn space(&mut self, space: &SearchSpace) {
        let SearchSpace {
            layers,
            sizes,
            exclude_empty,
            shape,
        } = space;
        self.length(layers.len());
        for choice in layers {
            self.integer(*choice as u64);
        }
        for (module, sizes) in Module::ALL.into_iter().zip(sizes) {
            if !module.facts().is_of_the_paper {
                // Versions that did not know the module did not hash it.
                if *sizes == [0] {
                    continue;
                }
                self.text(module.name());
            }
            self.length(sizes.len());
            for size in sizes {
                self.integer(u64::from(*size));
            }
        }
        self.integer(u64::from(*exclude_empty));
        self.integer(u64::from(shape.hidden));
        // Versions that knew the usual shape only wrote nothing more of it.
        if *shape != Shape::from(shape.hidden) {
            self.integer(u64::from(shape.feed_forward));
            self.integer(u64::from(shape.lora_matrices));
        }
    }

    fn settings(&mut self, settings: &Settings) {
        let Settings {
            initial_trials,
            initial_design,
            nuts:
                NutsSettings {
                    warmup,
                    samples,
                    thinning,
                    max_tree_depth,
                },
            mc_samples,
            restarts,
            evaluations,
            score_transform,
            acquisition,
        } = settings;
        for number in [
            initial_trials,
            warmup,
            samples,
            thinning,
            mc_samples,
            restarts,
            evaluations,
        ] {
            self.length(*number);
        }
        self.integer(u64::from(*max_tree_depth));
        self.integer(*initial_design as u64);
        self.integer(*score_transform as u64);
        // Hashes of 0.1.0, which knew no other acquisition function, stay equal.
        if **acquisition != NEHVI {
            self.text(acquisition.name);
        }
    }

    fn configuration(&mut self, configuration: &PeftConfiguration) {
        self.text(&configuration.hashed_text());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn option(&mut self, value: Option<u64>) {
        self.integer(u64::from(value.is_some()));
        self.integer(value.unwrap_or(0));
    }

    fn float(&mut self, value: f64) {
        self.integer(value.to_bits());
    }

    fn length(&mut self, value: usize) {
        self.integer(value as u64);
    }

    fn integer(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
}
