//! The hypervolume of a set of points: the area that they dominate above a reference point.
//!
//! Larger is better. The unit is that of the score times that of the cost, which is
//! log10(1 + parameters) wherever the engine reports a hypervolume.

use super::pareto::{Point, front};

/// The area of the points (s', c') with `reference.score` ≤ s' ≤ s and c ≤ c' ≤ `reference.cost`
/// for some (s, c) in `points`. A point that is not better than the reference in both objectives
/// adds nothing.
pub fn hypervolume(points: &[Point], reference: Point) -> f64 {
    let mut area = 0.0;
    let mut height = reference.score;
    for index in front(points) {
        let point = points[index];
        if point.score > height && point.cost < reference.cost {
            area += (point.score - height) * (reference.cost - point.cost);
            height = point.score;
        }
    }
    area
}
