//! Kendall's rank correlation, τ-b, and its confidence interval.

use crate::normal;

/// τ-b of pairs of numbers: (concordant − discordant) / √((pairs not tied in x)·(pairs not tied in y)), over all pairs of
/// observations (Kendall, Biometrika 1945). From −1 to 1; `None` where the lengths differ, where a number is not finite,
/// and where all values of x, or of y, are equal.
pub fn kendall_tau(x: &[f64], y: &[f64]) -> Option<f64> {
    let is_finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
    if x.len() != y.len() || !is_finite(x) || !is_finite(y) {
        return None;
    }
    let (mut balance, mut untied_x, mut untied_y) = (0_i64, 0_i64, 0_i64);
    for (first, (x_first, y_first)) in x.iter().zip(y).enumerate() {
        for (x_second, y_second) in x.iter().zip(y).skip(first + 1) {
            let (x_order, y_order) = (order(*x_first, *x_second), order(*y_first, *y_second));
            balance += x_order * y_order;
            untied_x += x_order.abs();
            untied_y += y_order.abs();
        }
    }
    let scale = (untied_x as f64).sqrt() * (untied_y as f64).sqrt();
    (scale > 0.0).then(|| (balance as f64 / scale).clamp(-1.0, 1.0))
}

/// −1, 0 or 1: which of two numbers is larger.
fn order(first: f64, second: f64) -> i64 {
    first.total_cmp(&second) as i64 * i64::from(first != second)
}

/// The ends of the 95 % confidence interval of τ over `count` observations: tanh(atanh τ ± z·√(0.437/(n − 4))) (Fieller,
/// Hartley and Pearson, Biometrika 1957). `None` for fewer than five observations.
///
/// Of perfect agreement that interval is a single point, whatever the number of observations. Here τ is therefore moved
/// towards 0 by half a pair, to ±(1 − 1/pairs), before the other end is computed.
pub fn kendall_interval(tau: f64, count: usize) -> Option<(f64, f64)> {
    if count < 5 {
        return None;
    }
    let pairs = (count * (count - 1)) as f64 / 2.0;
    let most = 1.0 - 1.0 / pairs;
    let middle = tau.clamp(-most, most).atanh();
    let reach = normal::quantile(0.975) * (0.437 / (count - 4) as f64).sqrt();
    let (lower, upper) = ((middle - reach).tanh(), (middle + reach).tanh());
    Some((lower.min(tau), upper.max(tau)))
}
