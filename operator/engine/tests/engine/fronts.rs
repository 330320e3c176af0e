//! Pareto fronts, hypervolumes, reference points and the scale of scores.

use autopeft_crds::{Module, PeftConfiguration, SearchSpace, SearchSpaceSpec};
use autopeft_engine::acquisition::Staircase;
use autopeft_engine::objectives::hypervolume::hypervolume as area;
use autopeft_engine::objectives::pareto::{Point, front as pareto_front};
use autopeft_engine::objectives::reference::infer;
use autopeft_engine::surrogate::transform::Transform;
use autopeft_engine::{
    Observation, Outcome, Problem, ReferencePoint, ScoreTransform, Settings, front, hypervolume,
    hypervolume_trace, reference_point,
};
use proptest::prelude::*;
use serde::Deserialize;

/// Points on a coarse grid, so that ties and duplicates are common.
fn points() -> impl Strategy<Value = Vec<Point>> {
    prop::collection::vec((0_i32..8, 0_i32..8), 0..12).prop_map(|pairs| {
        let point = |(score, cost): (i32, i32)| Point {
            score: f64::from(score),
            cost: f64::from(cost),
        };
        pairs.into_iter().map(point).collect()
    })
}

fn dominates(a: &Point, b: &Point) -> bool {
    a.score >= b.score && a.cost <= b.cost && a != b
}

/// Inclusion and exclusion over all subsets of boxes.
fn area_by_inclusion_exclusion(points: &[Point], reference: Point) -> f64 {
    (1..1_u32 << points.len())
        .map(|subset| {
            let chosen = || {
                (0..points.len())
                    .filter(|i| subset >> i & 1 == 1)
                    .map(|i| points[i])
            };
            let score = chosen().map(|p| p.score).fold(f64::INFINITY, f64::min);
            let cost = chosen().map(|p| p.cost).fold(f64::NEG_INFINITY, f64::max);
            let sign = if subset.count_ones() % 2 == 1 {
                1.0
            } else {
                -1.0
            };
            sign * (score - reference.score).max(0.0) * (reference.cost - cost).max(0.0)
        })
        .sum()
}

const REFERENCE: Point = Point {
    score: 1.0,
    cost: 6.0,
};

proptest! {
    #[test]
    fn the_front_is_what_no_point_dominates(points in points()) {
        let mut expected: Vec<usize> = (0..points.len())
            .filter(|i| !points.iter().any(|other| dominates(other, &points[*i])))
            .collect();
        let mut found = pareto_front(&points);
        prop_assert!(found.windows(2).all(|w| points[w[0]].cost <= points[w[1]].cost));
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_hypervolume_is_that_of_inclusion_and_exclusion(points in points()) {
        let expected = area_by_inclusion_exclusion(&points, REFERENCE);
        prop_assert!((area(&points, REFERENCE) - expected).abs() < 1e-9);
    }

    #[test]
    fn the_improvement_by_a_point_is_the_difference_of_two_hypervolumes(
        points in points(), score in 0.0..8.0, cost in 0.0..8.0,
    ) {
        let without = area(&points, REFERENCE);
        let mut with = points.clone();
        with.push(Point { score, cost });
        let expected = area(&with, REFERENCE) - without;
        let (mut costs, mut heights) = (Vec::new(), Vec::new());
        for i in pareto_front(&points) {
            let p = points[i];
            if p.score > REFERENCE.score && p.cost < REFERENCE.cost && costs.last() != Some(&p.cost) {
                costs.push(p.cost);
                heights.push(p.score);
            }
        }
        let stairs = Staircase { costs: &costs, heights: &heights, reference: REFERENCE };
        // A score that is all but certain.
        let found = stairs.expected_improvement(cost, score, 1e-9);
        prop_assert!((found - expected).abs() < 1e-7, "{} for {}", found, expected);
    }

    #[test]
    fn a_transform_is_increasing_and_can_be_undone(
        scores in prop::collection::vec(prop_oneof![-1.0..1.0, Just(0.5), Just(-1e3)], 1..15),
        a in -2.0..2.0, b in -2.0..2.0,
    ) {
        for kind in [ScoreTransform::Standardise, ScoreTransform::Copula] {
            let transform = Transform::new(kind, &scores);
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(transform.forward(low) <= transform.forward(high));
            let back = transform.inverse(transform.forward(a));
            prop_assert!((back - a).abs() < 1e-6 * (1.0 + a.abs()), "{} for {}", back, a);
            for score in &scores {
                prop_assert!(transform.forward(*score).is_finite());
            }
        }
    }

    #[test]
    fn the_inferred_reference_lies_beyond_every_point_of_the_front(points in points()) {
        match infer(&points) {
            None => prop_assert!(points.is_empty()),
            Some(reference) => for i in pareto_front(&points) {
                prop_assert!(points[i].score > reference.score);
                prop_assert!(points[i].cost < reference.cost);
            },
        }
    }
}

#[derive(Deserialize)]
struct Golden {
    hypervolume: Vec<GoldenHypervolume>,
}

#[derive(Deserialize)]
struct GoldenHypervolume {
    points: Vec<[f64; 2]>,
    reference: [f64; 2],
    value: f64,
}

#[test]
fn hypervolumes_are_botorchs() {
    let golden: Golden =
        serde_json::from_str(include_str!("../golden/search.json")).expect("the file parses");
    let point = |[score, cost]: [f64; 2]| Point { score, cost };
    for case in golden.hypervolume {
        let points: Vec<Point> = case.points.into_iter().map(point).collect();
        let found = area(&points, point(case.reference));
        assert!(
            (found - case.value).abs() < 1e-12,
            "{found}, {}",
            case.value
        );
    }
}

#[test]
fn the_reference_is_the_nadir_pushed_out_by_a_tenth() {
    let at = |score, cost| Point { score, cost };
    let check = |points: &[Point], expected: Point| {
        let found = infer(points).expect("there are points");
        assert!(
            (found.score - expected.score).abs() < 1e-12
                && (found.cost - expected.cost).abs() < 1e-12,
            "{found:?}, {expected:?}"
        );
    };
    check(&[at(0.5, 3.0), at(0.9, 5.0), at(0.1, 6.0)], at(0.46, 5.2));
    // A front of one point: the worst of all points.
    check(&[at(0.9, 3.0), at(0.5, 5.0)], at(0.46, 5.2));
    // No range anywhere: a tenth of the score and of a decade.
    check(&[at(0.5, 3.0)], at(0.45, 3.1));
    check(&[at(0.0, 3.0), at(0.0, 3.0)], at(-0.1, 3.1));
}

#[test]
fn the_copula_is_on_mid_ranks() {
    let scores = [0.1, 0.9, 0.4, 0.4, -1e9];
    let transform = Transform::new(ScoreTransform::Copula, &scores);
    let expected = [
        (-1e9, -1.281_551_565_544_600_4),
        (0.1, -0.524_400_512_708_041),
        (0.4, 0.253_347_103_135_799_7),
        (0.9, 1.281_551_565_544_600_4),
    ];
    for (score, value) in expected {
        assert!((transform.forward(score) - value).abs() < 1e-9, "{score}");
    }
}

fn problem() -> Problem {
    Problem {
        space: SearchSpace::resolve(&SearchSpaceSpec::default(), 4, 8).expect("a space"),
        settings: Settings::default(),
        seed: 0,
        max_parameters: None,
        min_score: None,
        reference: None,
    }
}

fn trial(layers: &str, serial_adapter: u32, outcome: Option<f64>) -> Observation {
    Observation {
        configuration: PeftConfiguration::new(
            layers.parse().expect("a mask"),
            &[(Module::SerialAdapter, serial_adapter)],
        ),
        outcome: outcome.map_or(Outcome::Infeasible, |score| Outcome::Scored {
            score,
            noise_variance: None,
        }),
    }
}

#[test]
fn results_follow_bounds_and_references() {
    let trials = [
        trial("0000", 4, Some(0.5)),
        trial("0001", 1, Some(0.7)),
        trial("0010", 1, Some(0.7)),
        trial("1111", 8, None),
        trial("0011", 8, Some(0.9)),
        trial("0111", 8, Some(f64::NAN)),
        trial("0111", 4, Some(0.6)),
    ];
    let listed = |problem: &Problem| -> Vec<usize> {
        front(problem, &trials)
            .iter()
            .map(|point| point.trial)
            .collect()
    };
    let free = problem();
    assert_eq!(listed(&free), [0, 1, 2, 4]);
    assert_eq!(front(&free, &trials)[0].parameters, 0);
    let reference = reference_point(&free, &trials).expect("a reference");
    assert!(reference.inferred && reference.dominated);
    assert!((reference.point.score - 0.46).abs() < 1e-12);
    let trace = hypervolume_trace(&free, &trials);
    assert!(trace.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(trace.last().copied(), Some(hypervolume(&free, &trials)));
    assert!(hypervolume(&free, &trials) > 0.0);

    let bounded = Problem {
        max_parameters: Some(100),
        min_score: Some(0.6),
        ..problem()
    };
    assert_eq!(listed(&bounded), [1, 2]);
    let reference = reference_point(&bounded, &trials).expect("a reference");
    assert!(reference.point.score >= 0.6);

    let unreachable = Problem {
        reference: Some(ReferencePoint {
            score: 0.95,
            parameters: 1e4,
        }),
        ..problem()
    };
    let reference = reference_point(&unreachable, &trials).expect("it is given");
    assert!(!reference.inferred && !reference.dominated);
    assert_eq!(hypervolume(&unreachable, &trials), 0.0);

    assert_eq!(front(&free, &[]), []);
    assert_eq!(reference_point(&free, &trials[3..4]), None);
    assert_eq!(hypervolume(&free, &[]), 0.0);
}
