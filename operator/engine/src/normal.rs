//! The standard normal distribution and quasi-Monte Carlo draws of it.
//!
//! Notation: φ the density, Φ the distribution function, and τ(z) = φ(z) + z Φ(z), the expectation
//! of (Z + z)₊, so that the expected improvement of N(m, σ²) over h is σ τ((m − h)/σ) (τ is
//! h and `ln_tau` is `log_h` in Ament et al., NeurIPS 2023).

use libm::erfc;
use statrs::function::erf::erfc_inv;

const SQRT_2: f64 = std::f64::consts::SQRT_2;
const SQRT_2_PI: f64 = 2.506_628_274_631_000_5;
const LN_SQRT_2_PI: f64 = 0.918_938_533_204_672_7;

/// Beyond this, Φ is 1 to the last bit and φ is lost against z.
const LARGE: f64 = 9.0;

/// Below minus this, φ(z) and z Φ(z) cancel to more than two digits, and later underflow;
/// `TAIL_TERMS` of the asymptotic series give full precision there.
const TAIL: f64 = 12.0;
const TAIL_TERMS: u32 = 16;

/// τ(z); 0 where it underflows (below about −38).
pub fn tau(z: f64) -> f64 {
    if z > LARGE {
        z
    } else if z > -TAIL {
        let density = (-0.5 * z * z).exp() / SQRT_2_PI;
        density + z * 0.5 * erfc(-z / SQRT_2)
    } else {
        (-0.5 * z * z).exp() / SQRT_2_PI * tail_share(z)
    }
}

/// ln τ(z), finite for every finite z whose square is finite.
pub fn ln_tau(z: f64) -> f64 {
    if z > -TAIL {
        tau(z).ln()
    } else {
        -0.5 * z * z - LN_SQRT_2_PI + tail_share(z).ln()
    }
}

/// τ(z) / φ(z) far below 0: Σ_k (−1)^k (2k+1)!! / z^(2k+2).
fn tail_share(z: f64) -> f64 {
    let inverse = 1.0 / (z * z);
    let mut term = inverse;
    let mut sum = 0.0;
    for k in 0..TAIL_TERMS {
        sum += term;
        term *= -f64::from(2 * k + 3) * inverse;
    }
    sum
}

/// The quantile function of the standard normal distribution, for 0 < p < 1.
pub fn quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

/// Coordinate `dimension` of point `index` of the scrambled Sobol sequence, in the open interval
/// (0, 1). Beyond the sequence's own dimensions, another scrambling of the same is appended
/// (padding; Burley, JCGT 2020).
pub fn sobol(index: u32, dimension: usize, seed: u32) -> f64 {
    let dimensions = sobol_burley::NUM_DIMENSIONS as usize;
    let padding = (dimension / dimensions) as u32;
    let within = (dimension % dimensions) as u32;
    let value = sobol_burley::sample(index, within, seed.wrapping_add(padding));
    // The middle of a cell of 2^-24, which is the spacing of the values.
    f64::from(value) + 0.5_f64.powi(25)
}
