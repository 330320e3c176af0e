//! The monotone map between scores in their natural unit and the scale of the surrogate.
//!
//! Notation: y a natural score, z the surrogate's; larger is better on both scales. Standardising is z = (y −
//! mean) / deviation. The copula takes a score of mid-rank r among n to the normal quantile of (r − ½)/n; it
//! is linear between neighbouring scores, and beyond the outermost has the average slope, so that it is
//! invertible everywhere.

use crate::normal::quantile;

/// The scale on which the surrogate sees the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreTransform {
    /// Mean 0, deviation 1.
    Standardise,
    /// A normal copula on mid-ranks, robust to outliers.
    Copula,
}

/// A strictly increasing, invertible map.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// (y, z), both strictly ascending, never empty.
    knots: Vec<(f64, f64)>,
    /// Change of z with y beyond the outermost knots.
    slope: f64,
}

impl Transform {
    /// The map for `scores`, all finite. Scores without spread are moved to 0 and not stretched.
    pub fn new(kind: ScoreTransform, scores: &[f64]) -> Self {
        let n = scores.len() as f64;
        if let ScoreTransform::Copula = kind {
            let mut sorted = scores.to_vec();
            sorted.sort_by(f64::total_cmp);
            let mut knots = Vec::new();
            let mut below = 0.0;
            for ties in sorted.chunk_by(|a, b| a == b) {
                let mid_rank = below + 0.5 * (ties.len() as f64 + 1.0);
                knots.push((ties[0], quantile((mid_rank - 0.5) / n)));
                below += ties.len() as f64;
            }
            if let (Some(first), Some(last)) = (knots.first(), knots.last())
                && last.0 > first.0
            {
                let slope = (last.1 - first.1) / (last.0 - first.0);
                return Self { knots, slope };
            }
        }
        let mean = scores.iter().sum::<f64>() / n.max(1.0);
        let squares = scores.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>();
        let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
        // Equal scores may differ from their computed mean in the last bits: that is no spread.
        let spread = deviation > 1e-12 * (1.0 + mean.abs());
        Self {
            knots: vec![(mean, 0.0)],
            slope: if spread { 1.0 / deviation } else { 1.0 },
        }
    }

    /// z for y.
    pub fn forward(&self, score: f64) -> f64 {
        interpolate(&self.knots, self.slope, score, |(y, z)| (y, z))
    }

    /// y for z.
    pub fn inverse(&self, value: f64) -> f64 {
        interpolate(&self.knots, 1.0 / self.slope, value, |(y, z)| (z, y))
    }

    /// The deviation on the surrogate's scale of a score with this natural deviation.
    pub fn forward_deviation(&self, score: f64, deviation: f64) -> f64 {
        0.5 * (self.forward(score + deviation) - self.forward(score - deviation))
    }

    /// The natural deviation of a value with this deviation on the surrogate's scale.
    pub fn inverse_deviation(&self, value: f64, deviation: f64) -> f64 {
        0.5 * (self.inverse(value + deviation) - self.inverse(value - deviation))
    }
}

/// The value at `x` of the line through the knots, each seen as (argument, value).
fn interpolate(
    knots: &[(f64, f64)],
    slope: f64,
    x: f64,
    seen: impl Fn((f64, f64)) -> (f64, f64),
) -> f64 {
    let above = knots.partition_point(|knot| seen(*knot).0 <= x);
    let (from, slope) = match (above.checked_sub(1), knots.get(above)) {
        (Some(below), Some(next)) => {
            let (from, to) = (seen(knots[below]), seen(*next));
            (from, (to.1 - from.1) / (to.0 - from.0))
        }
        (Some(last), None) => (seen(knots[last]), slope),
        (None, _) => (seen(knots[0]), slope),
    };
    from.1 + (x - from.0) * slope
}
