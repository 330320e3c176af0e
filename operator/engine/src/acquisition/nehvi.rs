//! Noisy expected hypervolume improvement (NEHVI), as its logarithm: the expected gain in hypervolume
//! by a candidate, under the uncertainty of the current front itself.
//!
//! Daulton, Balandat and Bakshy, NeurIPS 2021, with one modelled objective (the score)
//! and one exact (the cost), ranked by its logarithm (Ament et al., NeurIPS 2023). Larger is better.
//!
//! Notation: f are the latent scores at the in-sample points (observed or pending). For each
//! hyperparameter sample, P are the p in-sample points that are on the front in some joint draw of f
//! from the posterior; the others have no effect and are pruned, as BoTorch prunes its `X_baseline`.
//! With the posterior mean μ_P and covariance C = L Lᵀ of f at P, draw s of S is f_P = μ_P + L z_s,
//! z_s from a scrambled Sobol sequence. Given that draw, the score of a candidate x is Gaussian,
//!
//! - mean μ(x) + wᵀ z_s, with w = L⁻¹ Cov(f_P, f(x)),
//! - variance σ²(x) − wᵀ w, the same for every draw,
//!
//! and its expected improvement over the draw's front is closed (`improvement`). The value is the
//! logarithm of the average over draws and hyperparameter samples. Everything but w and the sums
//! over draws is computed once: a candidate costs O(n² + n p + p S) a hyperparameter sample.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatMut, Par};

use super::improvement::{Staircase, ln_add};
use super::{Acquisition, AcquisitionError, AcquisitionFunction, InSamplePoint, Inputs};
use crate::normal::{quantile, sobol};
use crate::objectives::pareto::Point;
use crate::surrogate::gp::{Gp, Prediction};
use crate::surrogate::{Factoriser, NotPositiveDefinite};

/// Added to variances on the surrogate's scale (on which scores have variance 1): C has a factor
/// where points coincide, and a candidate that the draws determine keeps a finite logarithm.
const VARIANCE_FLOOR: f64 = 1e-9;

/// Below this, sums of improvements may have lost terms to underflow and are taken in logarithms.
const UNDERFLOW: f64 = 1e-250;

/// Joint draws by which in-sample points are pruned, if the acquisition function itself has fewer. A
/// relevant point that is pruned makes the front too low: with 128 draws, rare improvements came out a
/// third too large.
const PRUNING_DRAWS: usize = 1024;

/// The row of the table of acquisition functions.
pub static NEHVI: AcquisitionFunction = AcquisitionFunction {
    name: "nehvi",
    prepare: |inputs| Ok(Box::new(Nehvi::new(inputs)?)),
};

/// The acquisition function of one suggestion.
#[derive(Clone, Debug)]
pub struct Nehvi {
    models: Vec<Model>,
    reference: Point,
}

impl Nehvi {
    /// Draws the fronts of each model. Models without a usable posterior at the in-sample points are
    /// left out; it is an error if none is given or none remains.
    pub fn new(inputs: Inputs<'_>) -> Result<Self, AcquisitionError> {
        let Inputs {
            models: gps,
            in_sample,
            reference,
            draws,
            seed,
        } = inputs;
        let mut within: Vec<&InSamplePoint> = in_sample
            .iter()
            .filter(|b| b.cost < reference.cost)
            .collect();
        within.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        let mut models = Vec::new();
        let mut failure = None;
        for (index, gp) in gps.into_iter().enumerate() {
            // Sequences with different seeds, so that their errors average out over the models.
            let seed = seed.wrapping_add((index as u32).wrapping_mul(0x9e37_79b9));
            match Model::new(gp, &within, reference, draws, seed) {
                Ok(model) => models.push(model),
                Err(error) => failure = Some(error),
            }
        }
        if models.is_empty() {
            return Err(failure.map_or(AcquisitionError::NoModel, AcquisitionError::from));
        }
        Ok(Self { models, reference })
    }

    /// How many in-sample points each model keeps after pruning.
    pub fn kept_points(&self) -> Vec<usize> {
        self.models.iter().map(|model| model.points.len()).collect()
    }
}

impl Acquisition for Nehvi {
    /// The logarithm of the noisy expected hypervolume improvement; −∞ where the cost alone rules an
    /// improvement out.
    fn value(&self, input: &[f64], cost: f64) -> f64 {
        if cost >= self.reference.cost {
            return f64::NEG_INFINITY;
        }
        let given: Vec<Given> = self.models.iter().map(|model| model.given(input)).collect();
        let terms: usize = given.iter().map(|given| given.means.len()).sum();
        let candidates = || self.models.iter().zip(&given);
        let sum: f64 = candidates()
            .map(|(model, given)| model.sum(given, cost))
            .sum();
        let ln_sum = if sum > UNDERFLOW {
            sum.ln()
        } else {
            candidates()
                .map(|(model, given)| model.ln_sum(given, cost))
                .fold(f64::NEG_INFINITY, ln_add)
        };
        ln_sum - (terms as f64).ln()
    }

    fn predict(&self, input: &[f64]) -> Prediction {
        let predictions = self.models.iter().map(|model| model.gp.predict(input));
        Prediction::mixture(&predictions.collect::<Vec<_>>())
    }
}

/// One hyperparameter sample with its draws of the front.
#[derive(Clone, Debug)]
struct Model {
    gp: Gp,
    /// P, p×d.
    points: Vec<Vec<f64>>,
    /// `L_K⁻¹ k_P`, n×p: what the posterior covariance with P takes from the data.
    whitened: Mat<f64>,
    /// L, p×p.
    factor: Mat<f64>,
    /// z, S×p.
    normals: Mat<f64>,
    fronts: Fronts,
    draws: usize,
}

/// The score of a candidate given each draw.
struct Given {
    means: Vec<f64>,
    deviation: f64,
}

impl Model {
    /// `in_sample` is sorted by cost.
    fn new(
        gp: Gp,
        in_sample: &[&InSamplePoint],
        reference: Point,
        draws: usize,
        seed: u32,
    ) -> Result<Self, NotPositiveDefinite> {
        let pruning_draws = draws.max(PRUNING_DRAWS);
        let all = Joint::new(&gp, in_sample, pruning_draws, !seed)?;
        let mut on_a_front = vec![false; in_sample.len()];
        for draw in 0..pruning_draws {
            rises(all.draw(draw), reference.score, |point, _| {
                on_a_front[point] = true;
            });
        }
        let kept: Vec<&InSamplePoint> = in_sample
            .iter()
            .zip(&on_a_front)
            .filter_map(|(point, kept)| kept.then_some(*point))
            .collect();
        let joint = Joint::new(&gp, &kept, draws, seed)?;
        let kept_costs: Vec<f64> = kept.iter().map(|point| point.cost).collect();
        let mut fronts = Fronts::new(reference);
        for draw in 0..draws {
            fronts.push(&kept_costs, joint.draw(draw));
        }
        let mut whitened = Mat::zeros(gp.observations(), kept.len());
        for (column, point) in kept.iter().enumerate() {
            gp.predict_in(&point.input, whitened.col_as_slice_mut(column));
        }
        Ok(Self {
            points: kept.iter().map(|point| point.input.clone()).collect(),
            whitened,
            factor: joint.factor,
            normals: joint.normals,
            fronts,
            draws,
            gp,
        })
    }

    fn given(&self, input: &[f64]) -> Given {
        let mut whitened = vec![0.0; self.gp.observations()];
        let prediction = self.gp.predict_in(input, &mut whitened);
        let p = self.points.len();
        let mut weights: Vec<f64> = self
            .points
            .iter()
            .enumerate()
            .map(|(point, at)| {
                let explained = dot(&whitened, self.whitened.col_as_slice(point));
                self.gp.kernel(input, at) - explained
            })
            .collect();
        if p > 0 {
            let column = MatMut::from_column_major_slice_mut(&mut weights, p, 1);
            solve_lower_triangular_in_place(self.factor.as_ref(), column, Par::Seq);
        }
        let mut means = vec![prediction.mean; self.draws];
        for (point, weight) in weights.iter().enumerate() {
            for (mean, normal) in means.iter_mut().zip(self.normals.col_as_slice(point)) {
                *mean += weight * normal;
            }
        }
        let variance = prediction.variance - dot(&weights, &weights);
        Given {
            means,
            deviation: variance.max(VARIANCE_FLOOR).sqrt(),
        }
    }

    fn sum(&self, given: &Given, cost: f64) -> f64 {
        let of = |(draw, mean): (usize, &f64)| {
            let front = self.fronts.of(draw);
            front.expected_improvement(cost, *mean, given.deviation)
        };
        given.means.iter().enumerate().map(of).sum()
    }

    fn ln_sum(&self, given: &Given, cost: f64) -> f64 {
        let of = |(draw, mean): (usize, &f64)| {
            let front = self.fronts.of(draw);
            front.ln_expected_improvement(cost, *mean, given.deviation)
        };
        let terms = given.means.iter().enumerate().map(of);
        terms.fold(f64::NEG_INFINITY, ln_add)
    }
}

/// Joint draws of the latent scores at some points.
struct Joint {
    /// L, p×p.
    factor: Mat<f64>,
    /// z, S×p.
    normals: Mat<f64>,
    /// f, p×S: one draw a column.
    values: Mat<f64>,
}

impl Joint {
    fn new(
        gp: &Gp,
        points: &[&InSamplePoint],
        draws: usize,
        seed: u32,
    ) -> Result<Self, NotPositiveDefinite> {
        let p = points.len();
        let inputs = Mat::from_fn(p, gp.dimensions(), |row, i| points[row].input[i]);
        let (mean, mut factor) = gp.joint(inputs.as_ref());
        for point in 0..p {
            factor[(point, point)] += VARIANCE_FLOOR;
        }
        if p > 0 {
            Factoriser::new(p).factorise_with_jitter(factor.as_mut())?;
        }
        let normals = Mat::from_fn(draws, p, |draw, point| {
            quantile(sobol(draw as u32, point, seed))
        });
        let mut values = Mat::from_fn(p, draws, |point, _| mean[point]);
        for draw in 0..draws {
            let column = values.col_as_slice_mut(draw);
            for from in 0..p {
                let normal = normals[(draw, from)];
                let loadings = &factor.col_as_slice(from)[from..];
                for (value, loading) in column[from..].iter_mut().zip(loadings) {
                    *value += loading * normal;
                }
            }
        }
        Ok(Self {
            factor,
            normals,
            values,
        })
    }

    fn draw(&self, draw: usize) -> &[f64] {
        self.values.col_as_slice(draw)
    }
}

/// The fronts of all draws, one after another.
#[derive(Clone, Debug)]
struct Fronts {
    reference: Point,
    costs: Vec<f64>,
    heights: Vec<f64>,
    /// Where each draw's front ends.
    ends: Vec<usize>,
}

impl Fronts {
    fn new(reference: Point) -> Self {
        Self {
            reference,
            costs: Vec::new(),
            heights: Vec::new(),
            ends: Vec::new(),
        }
    }

    fn push(&mut self, costs: &[f64], scores: &[f64]) {
        let start = self.costs.len();
        rises(scores, self.reference.score, |point, score| {
            if self.costs.len() > start && self.costs.last() == Some(&costs[point]) {
                self.costs.pop();
                self.heights.pop();
            }
            self.costs.push(costs[point]);
            self.heights.push(score);
        });
        self.ends.push(self.costs.len());
    }

    fn of(&self, draw: usize) -> Staircase<'_> {
        let start = draw.checked_sub(1).map_or(0, |before| self.ends[before]);
        let range = start..self.ends[draw];
        Staircase {
            costs: &self.costs[range.clone()],
            heights: &self.heights[range],
            reference: self.reference,
        }
    }
}

/// Calls `rise` with each of the points, which are sorted by cost, that scores more than all before it and than
/// `floor`. Of points with equal cost several may rise; the last of them is on the front.
fn rises(scores: &[f64], floor: f64, mut rise: impl FnMut(usize, f64)) {
    let mut height = floor;
    for (point, score) in scores.iter().enumerate() {
        if *score > height {
            height = *score;
            rise(point, height);
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
