//! The Matérn-5/2 kernel with unit outputscale, as a function of the squared scaled distance.
//!
//! Notation: `s = Σ_i ρ_i (a_i − b_i)²` with inverse squared lengthscales `ρ`, `r = √s`.
//!
//! `k(s) = (1 + √5 r + 5/3 r²) exp(−√5 r)` and `dk/ds = −5/6 (1 + √5 r) exp(−√5 r)`
//! (Rasmussen and Williams, Gaussian Processes for Machine Learning, equation 4.17). Written in
//! `s`, the slope is finite at 0, so equal points need no special case.
//!
//! The slices are walked under run-time detection of the machine's vector instructions. Only
//! additions and multiplications in a fixed order are used, so that every instruction set gives
//! the same bits.

use faer::Mat;
use pulp::Arch;

const SQRT_5: f64 = 2.236_067_977_499_79;

/// `k(s)` for one squared scaled distance.
#[inline(always)]
pub(super) fn value(squared: f64) -> f64 {
    let t = SQRT_5 * squared.sqrt();
    (1.0 + t + t * t / 3.0) * exp_negative(t)
}

/// Replaces squared scaled distances by kernel values.
pub(super) fn values(arch: Arch, squared: &mut [f64]) {
    arch.dispatch(
        #[inline(always)]
        || {
            for s in squared.iter_mut() {
                *s = value(*s);
            }
        },
    );
}

/// Replaces squared scaled distances by `factor · k(s)` and writes `k'(s)` beside them.
pub(super) fn values_and_slopes(arch: Arch, squared: &mut [f64], slopes: &mut [f64], factor: f64) {
    arch.dispatch(
        #[inline(always)]
        || {
            for (s, slope) in squared.iter_mut().zip(slopes.iter_mut()) {
                let t = SQRT_5 * s.sqrt();
                let decay = exp_negative(t);
                *s = factor * ((1.0 + t + t * t / 3.0) * decay);
                *slope = -5.0 / 6.0 * (1.0 + t) * decay;
            }
        },
    );
}

/// Adds `(point − x_j)²` to every entry: one dimension of a row of squared distances.
#[inline(always)]
pub(super) fn accumulate(squared: &mut [f64], column: &[f64], point: f64) {
    for (s, x) in squared.iter_mut().zip(column) {
        let difference = x - point;
        *s += difference * difference;
    }
}

/// Writes the squared distances of points `b..` to point `b`; `scaled` is n×d.
pub(super) fn squared_distances(arch: Arch, squared: &mut [f64], scaled: &Mat<f64>, b: usize) {
    arch.dispatch(
        #[inline(always)]
        || {
            squared.fill(0.0);
            let d = scaled.ncols();
            let mut i = 0;
            // Four dimensions at a time: the sums are loaded and stored a quarter as often.
            while i + 4 <= d {
                let columns = [0, 1, 2, 3].map(|k| &scaled.col_as_slice(i + k)[b..]);
                let point = columns.map(|column| column[0]);
                let [c0, c1, c2, c3] = columns;
                for ((((s, x0), x1), x2), x3) in squared.iter_mut().zip(c0).zip(c1).zip(c2).zip(c3)
                {
                    let (d0, d1) = (x0 - point[0], x1 - point[1]);
                    let (d2, d3) = (x2 - point[2], x3 - point[3]);
                    *s += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
                }
                i += 4;
            }
            for i in i..d {
                let column = &scaled.col_as_slice(i)[b..];
                accumulate(squared, column, column[0]);
            }
        },
    );
}

/// Adds `Σ_a products_a (x_ai − x_bi)²`, a from `b`, to every `sums_i`; `inputs` is n×d.
pub(super) fn add_weighted_squares(
    arch: Arch,
    sums: &mut [f64],
    products: &[f64],
    inputs: &Mat<f64>,
    b: usize,
) {
    const LANES: usize = 16;
    arch.dispatch(
        #[inline(always)]
        || {
            for (i, sum) in sums.iter_mut().enumerate() {
                let column = &inputs.col_as_slice(i)[b..];
                let point = column[0];
                let (products, rest) = products.as_chunks::<LANES>();
                let (column, column_rest) = column.as_chunks::<LANES>();
                let mut lanes = [0.0; LANES];
                for (product, x) in products.iter().zip(column) {
                    for lane in 0..LANES {
                        let difference = x[lane] - point;
                        lanes[lane] += product[lane] * (difference * difference);
                    }
                }
                for (lane, (product, x)) in rest.iter().zip(column_rest).enumerate() {
                    let difference = x - point;
                    lanes[lane] += product * (difference * difference);
                }
                *sum += lanes.iter().sum::<f64>();
            }
        },
    );
}

/// `exp(−t)` for `t ≥ 0` to within two units in the last place, without branches, so that loops
/// over it vectorise. Beyond `t = 700` the result is `exp(−700)`, about 1e-304.
#[inline(always)]
fn exp_negative(t: f64) -> f64 {
    // Adding 1.5·2^52 rounds to an integer and leaves it in the low bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // 1/n!, n = 13 down to 0: the remainder is below 1e-17 for |x| ≤ ln(2)/2.
    const TAYLOR: [f64; 14] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
        1.0,
        1.0,
    ];
    let t = -t.min(700.0);
    let shifted = t * std::f64::consts::LOG2_E + SHIFT;
    let power = shifted - SHIFT;
    let x = (t - power * LN_2_HIGH) - power * LN_2_LOW;
    let mut sum = TAYLOR[0];
    for coefficient in &TAYLOR[1..] {
        sum = sum * x + coefficient;
    }
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0_f64.to_bits()));
    sum * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for step in 0..70_000 {
            let t = f64::from(step) * 0.01;
            let (ours, theirs) = (exp_negative(t), (-t).exp());
            assert!(
                (ours - theirs).abs() <= 4.0 * f64::EPSILON * theirs,
                "{t}: {ours} {theirs}"
            );
        }
        assert!(exp_negative(f64::MAX) < 1e-300);
    }

    #[test]
    fn slope_is_the_derivative_of_the_value() {
        for s in [1e-3, 0.1, 0.7, 2.0, 30.0] {
            let h = 1e-6 * s;
            let numeric = (value(s + h) - value(s - h)) / (2.0 * h);
            let (mut values, mut slopes) = ([s], [0.0]);
            values_and_slopes(Arch::new(), &mut values, &mut slopes, 1.0);
            assert!((numeric - slopes[0]).abs() < 1e-7 * slopes[0].abs());
            assert_eq!(values[0], value(s));
        }
    }

    #[test]
    fn equal_points_have_value_one_and_a_finite_slope() {
        let (mut values, mut slopes) = ([0.0], [0.0]);
        values_and_slopes(Arch::new(), &mut values, &mut slopes, 1.0);
        assert_eq!((values[0], slopes[0]), (1.0, -5.0 / 6.0));
    }
}
