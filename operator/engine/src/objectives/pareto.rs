//! Pareto fronts of two objectives: the score, larger is better, and the cost, smaller is better.
//!
//! A point dominates another if it is at least as good in both objectives and better in one. The
//! front is what no point dominates; equal points do not dominate each other.

/// A point in the plane of the objectives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Larger is better.
    pub score: f64,
    /// Smaller is better.
    pub cost: f64,
}

/// The scale of the cost for fronts, improvements and hypervolumes: log10(1 + parameters). The
/// empty model has cost 0.
pub fn log_cost(parameters: f64) -> f64 {
    parameters.ln_1p() / std::f64::consts::LN_10
}

/// The indices of the points on the front, by ascending cost; equal points in their given order.
pub fn front(points: &[Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (points[*a], points[*b]);
        a.cost.total_cmp(&b.cost).then(b.score.total_cmp(&a.score))
    });
    let mut found: Vec<usize> = Vec::new();
    for index in order {
        let point = points[index];
        let beats = |last: &usize| point.score > points[*last].score || point == points[*last];
        if found.last().is_none_or(beats) {
            found.push(index);
        }
    }
    found
}
