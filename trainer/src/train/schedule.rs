//! The number of a trial's steps, and the learning rate of each.
//!
//! The schedule always spans the trial's own steps: a short trial is a short training, not the start of a long one.

use autopeft_crds::spec::FidelitySpec;

/// Linear warm-up from 0, then linear decay to 0 (as Hugging Face has it: the first step of a
/// warm-up has rate 0, the last step of all still has a positive one).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    peak: f64,
    steps: u64,
    warmup: u64,
}

impl Schedule {
    /// A schedule over `steps` steps, of which `warmup_percent` (rounded up) are warm-up. A single step
    /// has no warm-up: at rate 0 nothing would be trained.
    pub fn new(peak: f64, steps: u64, warmup_percent: u32) -> Self {
        let warmup = match steps {
            1 => 0,
            _ => (steps * u64::from(warmup_percent)).div_ceil(100),
        };
        Self {
            peak,
            steps,
            warmup,
        }
    }

    /// All steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The rate of a step, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        let share = if step < self.warmup {
            step as f64 / self.warmup as f64
        } else {
            let decay = (self.steps - self.warmup).max(1);
            self.steps.saturating_sub(step) as f64 / decay as f64
        };
        self.peak * share
    }
}

/// The steps of a fidelity: that share of the steps of all its epochs, rounded up, at least one.
pub fn total_steps(examples: usize, batch_size: usize, fidelity: &FidelitySpec) -> u64 {
    let per_epoch = examples.div_ceil(batch_size) as u64;
    let all = per_epoch * u64::from(fidelity.epochs);
    (all * u64::from(fidelity.steps_percent))
        .div_ceil(100)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_linearly_from_the_peak() {
        let schedule = Schedule::new(1e-3, 4, 0);
        let rates: Vec<f64> = (0..4).map(|step| schedule.rate(step)).collect();
        assert_eq!(rates, [1e-3, 0.75e-3, 0.5e-3, 0.25e-3]);
    }

    #[test]
    fn a_warm_up_rises_from_zero_and_then_falls() {
        let schedule = Schedule::new(1.0, 10, 20);
        assert_eq!(schedule.rate(0), 0.0);
        assert_eq!(schedule.rate(1), 0.5);
        assert_eq!(schedule.rate(2), 1.0);
        assert_eq!(schedule.rate(9), 0.125);
    }

    #[test]
    fn some_step_has_a_rate_however_few_they_are() {
        for percent in [0, 1, 10, 50, 100] {
            assert_eq!(Schedule::new(0.5, 1, percent).rate(0), 0.5, "{percent} %");
            for steps in 2..=5 {
                let schedule = Schedule::new(0.5, steps, percent);
                let most = (0..steps)
                    .map(|step| schedule.rate(step))
                    .fold(0.0, f64::max);
                assert!(most > 0.0, "{percent} % of {steps} steps");
            }
        }
    }

    #[test]
    fn a_share_of_the_steps_is_rounded_up() {
        let fidelity = |epochs, steps_percent| FidelitySpec {
            epochs,
            steps_percent,
            ..FidelitySpec::default()
        };
        // RTE has 2,490 training examples: one epoch of batches of 32 is 78 steps.
        assert_eq!(total_steps(2490, 32, &fidelity(1, 100)), 78);
        assert_eq!(total_steps(2490, 32, &fidelity(20, 50)), 780);
        assert_eq!(total_steps(10, 32, &fidelity(1, 1)), 1);
    }
}
