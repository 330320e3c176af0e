//! The expected hypervolume improvement of a point with a Gaussian score and an exact cost.
//!
//! Notation: a staircase holds a front above a reference (r_s, r_c): h(c) is the best score of the
//! front at a cost of at most c, and r_s where there is none; it rises at the costs
//! c_1 < … < c_k < r_c to h_1 < … < h_k. A candidate has cost c and score f ~ N(m, σ²).
//!
//! It adds the region between h and f over [c, r_c), so that with the widths w_i of the pieces of
//! [c, r_c) on which h is constant the improvement is Σ_i w_i (f − h_i)₊, and its expectation is
//! closed: Σ_i w_i σ τ((m − h_i)/σ). This is the inner expectation of Daulton, Balandat and Bakshy
//! (NeurIPS 2021) with one of two objectives known.

use crate::normal::{ln_tau, tau};
use crate::objectives::pareto::Point;

/// A front above a reference point.
#[derive(Clone, Copy, Debug)]
pub struct Staircase<'a> {
    /// c_1 to c_k, strictly ascending, below the reference's cost.
    pub costs: &'a [f64],
    /// h_1 to h_k, strictly ascending, above the reference's score.
    pub heights: &'a [f64],
    /// (r_s, r_c).
    pub reference: Point,
}

impl Staircase<'_> {
    /// The pieces (w_i, h_i) of [cost, r_c), by ascending height; none from r_c on.
    fn pieces(&self, cost: f64) -> impl Iterator<Item = (f64, f64)> + '_ {
        let passed = self.costs.iter().take_while(|step| **step <= cost).count();
        let first = if cost < self.reference.cost {
            passed
        } else {
            // `first..=k` below is then empty.
            self.costs.len() + 1
        };
        (first..=self.costs.len()).map(move |piece| {
            let from = if piece == first {
                cost
            } else {
                self.costs[piece - 1]
            };
            let to = self
                .costs
                .get(piece)
                .copied()
                .unwrap_or(self.reference.cost);
            let height = match piece {
                0 => self.reference.score,
                _ => self.heights[piece - 1],
            };
            (to - from, height)
        })
    }

    /// The expected improvement; 0 where it underflows.
    pub fn expected_improvement(&self, cost: f64, mean: f64, deviation: f64) -> f64 {
        let mut left = self.reference.cost - cost;
        let mut sum = 0.0;
        for (width, height) in self.pieces(cost) {
            let gain = tau((mean - height) / deviation);
            sum += width * gain;
            left -= width;
            // The gains fall from piece to piece: what is left cannot change the last bit.
            if left * gain <= 1e-17 * sum {
                break;
            }
        }
        deviation * sum
    }

    /// The logarithm of the expected improvement, however small; −∞ from the reference's cost on.
    pub fn ln_expected_improvement(&self, cost: f64, mean: f64, deviation: f64) -> f64 {
        let terms = self
            .pieces(cost)
            .map(|(width, height)| width.ln() + ln_tau((mean - height) / deviation));
        deviation.ln() + terms.fold(f64::NEG_INFINITY, ln_add)
    }
}

/// ln(eᵃ + eᵇ).
pub fn ln_add(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY {
        large
    } else {
        large + (small - large).exp().ln_1p()
    }
}
