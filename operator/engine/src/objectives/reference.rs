//! The reference point of the hypervolume, inferred from the data.
//!
//! The nadir of the current front (its worst score, its largest cost) pushed out by a tenth of the
//! front's range in each objective, so that the ends of the front count (Ishibuchi, Akedo and Nojima,
//! "A many-objective test problem for visually examining diversity maintenance behavior in a decision
//! space", GECCO 2011).
//!
//! Where the front has no range in an objective (a single point, or none but equal ones), a tenth
//! of nothing would leave no room: there, the worst of all points is pushed out by a tenth of the
//! range of all points. If they have no range either, the range is taken as the score's magnitude
//! (1 for a score of 0) and one decade of cost.

use super::pareto::{Point, front};

/// How far beyond the nadir the reference lies, as a share of the range.
const MARGIN: f64 = 0.1;

/// The reference point for `points`; `None` without points.
pub fn infer(points: &[Point]) -> Option<Point> {
    let on_front: Vec<Point> = front(points).into_iter().map(|i| points[i]).collect();
    let (score, score_range) = worst_and_range(&on_front, points, |point| -point.score)?;
    let (cost, cost_range) = worst_and_range(&on_front, points, |point| point.cost)?;
    let magnitude = if score == 0.0 { 1.0 } else { score.abs() };
    Some(Point {
        score: -score - MARGIN * score_range.unwrap_or(magnitude),
        cost: cost + MARGIN * cost_range.unwrap_or(1.0),
    })
}

/// The largest value and the range (`None` for no range), over the front if it has a range, else
/// over all points. `value` is smaller where better.
fn worst_and_range(
    front: &[Point],
    all: &[Point],
    value: impl Fn(&Point) -> f64,
) -> Option<(f64, Option<f64>)> {
    let extent = |points: &[Point]| {
        let worst = points.iter().map(&value).max_by(f64::total_cmp)?;
        let best = points.iter().map(&value).min_by(f64::total_cmp)?;
        Some((worst, (worst > best).then_some(worst - best)))
    };
    match extent(front)? {
        (_, None) => extent(all),
        found => Some(found),
    }
}
