//! Whether a chain can be trusted: split R-hat and effective sample size.
//!
//! Notation: a chain is S draws of D parameters. Each chain is split in halves, which are compared
//! as M = 2 chains of N = ⌊S/2⌋ draws. R-hat is near 1 when the halves agree; larger is worse. The effective
//! sample size is out of S; larger is better.
//!
//! Vehtari, Gelman, Simpson, Carpenter and Bürkner, Rank-normalization, folding, and localization,
//! Bayesian Analysis 2021: R-hat by equations 1 to 4, the effective sample size by equations 10 to
//! 13 with Geyer's initial monotone sequence. The parameters are logarithms with light tails, so
//! that the ranks are left out.

/// Split R-hat and effective sample size of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convergence {
    /// Split R-hat; 1 for a constant.
    pub r_hat: f64,
    /// The effective sample size; the number of draws for a constant.
    pub effective_sample_size: f64,
}

/// The convergence of one parameter over the draws of one chain. Fewer than four draws say
/// nothing: R-hat is then infinite and the effective sample size 0.
pub fn convergence(draws: &[f64]) -> Convergence {
    let n = draws.len() / 2;
    if n < 2 {
        return Convergence {
            r_hat: f64::INFINITY,
            effective_sample_size: 0.0,
        };
    }
    let halves = [&draws[..n], &draws[draws.len() - n..]];
    let means = halves.map(mean);
    let grand = 0.5 * (means[0] + means[1]);
    let between = n as f64 * means.iter().map(|m| (m - grand).powi(2)).sum::<f64>();
    let within = 0.5 * (variance(halves[0], means[0]) + variance(halves[1], means[1]));
    if within <= 0.0 {
        return Convergence {
            r_hat: if between > 0.0 { f64::INFINITY } else { 1.0 },
            effective_sample_size: if between > 0.0 { 1.0 } else { 2.0 * n as f64 },
        };
    }
    let pooled = (n - 1) as f64 / n as f64 * within + between / n as f64;
    let correlation = |lag: usize| {
        let covariance = 0.5
            * (autocovariance(halves[0], means[0], lag) + autocovariance(halves[1], means[1], lag));
        1.0 - (within - covariance) / pooled
    };
    Convergence {
        r_hat: (pooled / within).sqrt(),
        effective_sample_size: (2 * n) as f64 / integrated_time(correlation, n),
    }
}

/// τ of equation 13: 1 plus twice the sum of the autocorrelations, cut where the sum of a pair
/// turns negative and held from rising (Geyer 1992). At least 1 / log10(S), as Stan bounds it.
fn integrated_time(correlation: impl Fn(usize) -> f64, n: usize) -> f64 {
    let mut time = -1.0;
    let mut smallest = f64::INFINITY;
    for lag in (0..n - 1).step_by(2) {
        let even = if lag == 0 { 1.0 } else { correlation(lag) };
        let pair = even + correlation(lag + 1);
        if pair < 0.0 {
            break;
        }
        smallest = pair.min(smallest);
        time += 2.0 * smallest;
    }
    time.max(1.0 / ((2 * n) as f64).log10())
}

fn mean(draws: &[f64]) -> f64 {
    draws.iter().sum::<f64>() / draws.len() as f64
}

fn variance(draws: &[f64], mean: f64) -> f64 {
    draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (draws.len() - 1) as f64
}

/// At one lag, divided by N − 1 so that lag 0 is the variance.
fn autocovariance(draws: &[f64], mean: f64, lag: usize) -> f64 {
    let products = draws.iter().zip(&draws[lag..]);
    products.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / (draws.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// A first-order autoregression from uniform noise: the effective size is
    /// (1 − φ) / (1 + φ) of the draws.
    fn autoregression(coefficient: f64, draws: usize) -> Vec<f64> {
        let mut generator = ChaCha8Rng::seed_from_u64(7);
        let mut state = 0.0;
        std::iter::repeat_with(|| {
            state = coefficient * state + generator.random::<f64>() - 0.5;
            state
        })
        .take(draws)
        .collect()
    }

    #[test]
    fn independent_draws_count_fully() {
        let found = convergence(&autoregression(0.0, 10_000));
        assert!((found.r_hat - 1.0).abs() < 1e-3, "{found:?}");
        assert!(found.effective_sample_size > 8_500.0, "{found:?}");
        assert!(found.effective_sample_size < 11_500.0, "{found:?}");
    }

    #[test]
    fn correlated_draws_count_as_the_theory_says() {
        let found = convergence(&autoregression(0.8, 100_000));
        let expected = 100_000.0 * 0.2 / 1.8;
        assert!((found.effective_sample_size / expected - 1.0).abs() < 0.15);
    }

    #[test]
    fn halves_that_disagree_have_a_large_r_hat() {
        let mut draws = autoregression(0.0, 200);
        for draw in &mut draws[100..] {
            *draw += 3.0;
        }
        assert!(convergence(&draws).r_hat > 2.0);
    }

    #[test]
    fn constants_and_short_chains_have_an_answer() {
        assert_eq!(convergence(&[1.0; 10]).effective_sample_size, 10.0);
        assert_eq!(convergence(&[1.0; 10]).r_hat, 1.0);
        assert_eq!(convergence(&[0.0, 0.0, 1.0, 1.0]).r_hat, f64::INFINITY);
        assert_eq!(convergence(&[1.0, 2.0, 3.0]).effective_sample_size, 0.0);
    }
}
