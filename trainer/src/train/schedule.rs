//! The learning rate of each step. The schedule always spans the trial's own steps: a short trial is a short training,
//! not the start of a long one.

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
}
