//! Fitting the surrogate: hyperparameter samples from data, whatever the data.
//!
//! The No-U-Turn sampler first; if it fails, the mode of the same density (`map`); if that fails
//! too, no samples, and the caller chooses at random. Why is in the diagnostics. Nothing here
//! panics or returns an error, and the same inputs and seed give the same bits.

use faer::MatRef;

use crate::diagnostics::convergence;
use crate::gp::{Gp, GpError, Hyperparameters};
use crate::map;
use crate::saas::Saas;
use crate::sampler::{self, SamplerError, Trace};

/// The sampler's settings; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitSettings {
    /// Draws during which the sampler adapts; they are discarded.
    pub warmup: usize,
    /// Draws after that.
    pub samples: usize,
    /// One draw in so many is kept, the first among them.
    pub thinning: usize,
    /// A trajectory has fewer than 2 to this power leapfrog steps; at most 20.
    pub max_tree_depth: u32,
}

impl Default for FitSettings {
    fn default() -> Self {
        Self {
            warmup: 256,
            samples: 128,
            thinning: 16,
            max_tree_depth: 6,
        }
    }
}

/// Where hyperparameter samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The No-U-Turn sampler.
    Nuts,
    /// The mode of the posterior density: one sample.
    Map,
    /// Nowhere: there are no samples.
    None,
}

/// How the fit went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics {
    /// Why a method was given up, in words; empty when the sampler succeeded.
    pub reasons: Vec<String>,
    /// Draws after warm-up whose trajectory diverged.
    pub divergences: usize,
    /// The largest split R-hat of any parameter over all draws after warm-up; 0 without draws.
    pub max_r_hat: f64,
    /// The smallest effective sample size of any parameter; 0 without draws.
    pub min_effective_sample_size: f64,
}

/// Hyperparameter samples, and how they were come by.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The retained samples: `samples / thinning` of them by the sampler, one by the mode.
    pub samples: Vec<Hyperparameters>,
    /// How the fit went.
    pub diagnostics: Diagnostics,
    /// Where the samples come from.
    pub method: Method,
}

impl Fit {
    /// One Gaussian process a sample, conditioned on the data that the fit was made from, or on
    /// other data of the same dimensions.
    pub fn condition(
        &self,
        inputs: MatRef<'_, f64>,
        values: &[f64],
        extra_noise: Option<&[f64]>,
    ) -> Result<Vec<Gp>, GpError> {
        self.samples
            .iter()
            .map(|sample| Gp::new(sample.clone(), inputs, values, extra_noise))
            .collect()
    }
}

/// Samples the hyperparameters given `inputs` (n×d in [0,1]), `values` (n, standardised) and the
/// known noise variance of each observation (n) beside the inferred one.
pub fn fit(
    inputs: MatRef<'_, f64>,
    values: &[f64],
    extra_noise: Option<&[f64]>,
    settings: &FitSettings,
    seed: u64,
) -> Fit {
    fit_unless(inputs, values, extra_noise, settings, seed, &|| false)
}

/// The same, given up without samples when `unwanted` says that nobody waits for them any more.
pub(crate) fn fit_unless(
    inputs: MatRef<'_, f64>,
    values: &[f64],
    extra_noise: Option<&[f64]>,
    settings: &FitSettings,
    seed: u64,
    unwanted: &dyn Fn() -> bool,
) -> Fit {
    let mut diagnostics = Diagnostics::default();
    let nothing = |mut diagnostics: Diagnostics, reason: String| {
        diagnostics.reasons.push(reason);
        Fit {
            samples: Vec::new(),
            diagnostics,
            method: Method::None,
        }
    };
    if let Err(reason) = check(inputs, values, extra_noise, settings) {
        return nothing(diagnostics, reason);
    }
    let saas = Saas::new(inputs, values, extra_noise);
    match sampler::sample(&saas, settings, seed, unwanted) {
        Err(error @ SamplerError::Unwanted) => return nothing(diagnostics, error.to_string()),
        Ok(trace) => {
            describe(&trace, &mut diagnostics);
            if 2 * trace.divergences <= trace.draws.len() {
                let kept = trace.draws.iter().step_by(settings.thinning);
                return Fit {
                    samples: kept.map(|draw| saas.hyperparameters(draw)).collect(),
                    diagnostics,
                    method: Method::Nuts,
                };
            }
            diagnostics.reasons.push(format!(
                "NUTS: {} of {} draws diverged",
                trace.divergences,
                trace.draws.len()
            ));
        }
        Err(error) => diagnostics.reasons.push(format!("NUTS: {error}")),
    }
    let (samples, method) = match map::maximise(&saas, seed) {
        Ok(position) => (vec![saas.hyperparameters(&position)], Method::Map),
        Err(error) => {
            diagnostics.reasons.push(format!("MAP: {error}"));
            (Vec::new(), Method::None)
        }
    };
    Fit {
        samples,
        diagnostics,
        method,
    }
}

/// Refuses what no method could use.
fn check(
    inputs: MatRef<'_, f64>,
    values: &[f64],
    extra_noise: Option<&[f64]>,
    settings: &FitSettings,
) -> Result<(), String> {
    let n = inputs.nrows();
    let extra = extra_noise.unwrap_or_default();
    if values.len() != n || extra_noise.is_some_and(|extra| extra.len() != n) {
        return Err(format!(
            "{n} points, {} values and {} noise variances",
            values.len(),
            extra.len()
        ));
    }
    let finite = inputs.col_iter().all(|c| c.iter().all(|x| x.is_finite()))
        && values.iter().all(|y| y.is_finite())
        && extra.iter().all(|v| v.is_finite() && *v >= 0.0);
    if !finite {
        return Err("an input, a value or a noise variance is not finite".to_owned());
    }
    if settings.samples == 0
        || settings.thinning == 0
        || !(1..=20).contains(&settings.max_tree_depth)
    {
        return Err(format!("{settings:?} cannot be sampled with"));
    }
    Ok(())
}

fn describe(trace: &Trace, diagnostics: &mut Diagnostics) {
    diagnostics.divergences = trace.divergences;
    diagnostics.min_effective_sample_size = f64::INFINITY;
    let parameters = trace.draws.first().map_or(0, |draw| draw.len());
    for parameter in 0..parameters {
        let chain: Vec<f64> = trace.draws.iter().map(|draw| draw[parameter]).collect();
        let found = convergence(&chain);
        diagnostics.max_r_hat = diagnostics.max_r_hat.max(found.r_hat);
        diagnostics.min_effective_sample_size = diagnostics
            .min_effective_sample_size
            .min(found.effective_sample_size);
    }
}
