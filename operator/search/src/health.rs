//! Whether a fit of the surrogate can be trusted. No I/O.

use autopeft_crds::Decimal;
use autopeft_crds::status::SurrogateStatus;

/// Chains have not mixed above this split R-hat. The usual limit for estimates is 1.01 (Vehtari et al.,
/// Bayesian Analysis 2021); a suggestion tolerates more, and 128 draws measure it less precisely.
pub const MAX_R_HAT: f64 = 1.2;

/// A chain with fewer effective samples than this is little better than a single sample.
pub const MIN_EFFECTIVE_SAMPLES: f64 = 10.0;

/// The quality of a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The sampler's samples can be trusted.
    Fitted,
    /// The sampler failed.
    FellBack,
    /// The largest R-hat is above `MAX_R_HAT`.
    NotMixed,
    /// The smallest effective sample size is below `MIN_EFFECTIVE_SAMPLES`.
    FewEffectiveSamples,
}

impl Health {
    /// The reason of the condition SurrogateHealthy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fitted => "Fitted",
            Self::FellBack => "FellBack",
            Self::NotMixed => "NotMixed",
            Self::FewEffectiveSamples => "FewEffectiveSamples",
        }
    }

    /// Whether the surrogate is healthy.
    pub fn is_well(self) -> bool {
        self == Self::Fitted
    }
}

/// Judges a fit.
pub fn of(fit: &SurrogateStatus) -> Health {
    let beyond = |value: Option<Decimal>, test: &dyn Fn(f64) -> bool| {
        value.is_some_and(|value| test(value.get()))
    };
    if fit.method != "Nuts" {
        Health::FellBack
    } else if beyond(fit.max_r_hat, &|r_hat| r_hat > MAX_R_HAT) {
        Health::NotMixed
    } else if beyond(fit.min_effective_samples, &|size| {
        size < MIN_EFFECTIVE_SAMPLES
    }) {
        Health::FewEffectiveSamples
    } else {
        Health::Fitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(method: &str, reason: Option<&str>, r_hat: f64, samples: f64) -> SurrogateStatus {
        SurrogateStatus {
            method: method.into(),
            reason: reason.map(str::to_owned),
            divergences: 0,
            max_r_hat: Decimal::new(r_hat).ok(),
            min_effective_samples: Decimal::new(samples).ok(),
            relevance: Vec::new(),
        }
    }

    #[test]
    fn a_fit_is_judged_by_its_method_its_mixing_and_its_size() {
        let health = |method, reason, r_hat, samples| of(&fit(method, reason, r_hat, samples));
        assert_eq!(health("Nuts", None, 1.2, 10.0), Health::Fitted);
        assert_eq!(health("Nuts", None, 1.21, 10.0), Health::NotMixed);
        assert_eq!(health("Nuts", None, 1.2, 9.9), Health::FewEffectiveSamples);
        assert_eq!(health("Map", None, 1.0, 90.0), Health::FellBack);
        // The suggestion was drawn at random, from a sound fit.
        let reason = Some("no configuration is expected to improve the front");
        assert_eq!(health("Nuts", reason, 1.0, 90.0), Health::Fitted);
    }
}
