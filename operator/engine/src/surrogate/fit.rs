//! Fitting the surrogate: hyperparameter samples from any data.
//!
//! The No-U-Turn sampler first (`nuts`); if it fails, the mode of the same density (`map`); if that
//! fails too, no samples, and the caller chooses at random. The diagnostics hold the reasons. Nothing
//! here panics or returns an error, and the same inputs and seed give the same bits.

use faer::MatRef;

use super::diagnostics::convergence;
use super::gp::{Gp, GpError, Hyperparameters};
use super::map;
use super::nuts::{self, NutsError, Trace};
use super::saas::Saas;
use super::settings::NutsSettings;

/// Where hyperparameter samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitMethod {
    /// The No-U-Turn sampler.
    Nuts,
    /// The mode of the posterior density: one sample.
    Map,
    /// Neither succeeded: there are no samples.
    None,
}

impl FitMethod {
    /// Its written form, as statuses and journals record it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nuts => "Nuts",
            Self::Map => "Map",
            Self::None => "None",
        }
    }
}

/// How the fit went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics {
    /// Why a method failed, in words; empty when the sampler succeeded.
    pub reasons: Vec<String>,
    /// Draws after warm-up whose trajectory diverged.
    pub divergences: usize,
    /// The largest split R-hat of any parameter over all draws after warm-up; 0 without draws.
    pub max_r_hat: f64,
    /// The smallest effective sample size of any parameter; 0 without draws.
    pub min_effective_sample_size: f64,
}

/// Hyperparameter samples, and where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The retained samples: `samples / thinning` of the sampler, or the mode alone.
    pub samples: Vec<Hyperparameters>,
    /// How the fit went.
    pub diagnostics: Diagnostics,
    /// Where the samples come from.
    pub method: FitMethod,
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
    settings: &NutsSettings,
    seed: u64,
) -> Fit {
    fit_cancellable(inputs, values, extra_noise, settings, seed, &|| false)
}

/// `fit`, but without samples once `cancelled` returns true.
pub(crate) fn fit_cancellable(
    inputs: MatRef<'_, f64>,
    values: &[f64],
    extra_noise: Option<&[f64]>,
    settings: &NutsSettings,
    seed: u64,
    cancelled: &dyn Fn() -> bool,
) -> Fit {
    let mut diagnostics = Diagnostics::default();
    let nothing = |mut diagnostics: Diagnostics, reason: String| {
        diagnostics.reasons.push(reason);
        Fit {
            samples: Vec::new(),
            diagnostics,
            method: FitMethod::None,
        }
    };
    if let Err(reason) = check(inputs, values, extra_noise, settings) {
        return nothing(diagnostics, reason);
    }
    let saas = Saas::new(inputs, values, extra_noise);
    match nuts::sample(&saas, settings, seed, cancelled) {
        Err(error @ NutsError::Cancelled) => return nothing(diagnostics, error.to_string()),
        Ok(trace) => {
            describe(&trace, &mut diagnostics);
            if 2 * trace.divergences <= trace.draws.len() {
                let kept = trace.draws.iter().step_by(settings.thinning);
                return Fit {
                    samples: kept.map(|draw| saas.hyperparameters(draw)).collect(),
                    diagnostics,
                    method: FitMethod::Nuts,
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
        Ok(position) => (vec![saas.hyperparameters(&position)], FitMethod::Map),
        Err(error) => {
            diagnostics.reasons.push(format!("MAP: {error}"));
            (Vec::new(), FitMethod::None)
        }
    };
    Fit {
        samples,
        diagnostics,
        method,
    }
}

/// Rejects data and settings with which every method would fail.
fn check(
    inputs: MatRef<'_, f64>,
    values: &[f64],
    extra_noise: Option<&[f64]>,
    settings: &NutsSettings,
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
        return Err(format!(
            "the sampler needs samples and thinning of at least 1 and a tree depth of 1 to 20: {settings:?}"
        ));
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
