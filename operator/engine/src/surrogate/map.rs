//! The mode of the SAAS density by L-BFGS (`argmin`), for data on which the sampler fails.
//!
//! The density is that of the logarithms, Jacobians included: the mode is a point of high posterior mass in
//! the parameters that the sampler works in. It has several modes (a dimension matters or does not), so the
//! search runs from several starts and the best position that any of them evaluated is kept, even if its line
//! search failed later.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::saas::{DensityError, Saas, Workspace};
use super::start::start;

const STARTS: usize = 4;
const ITERATIONS: u64 = 200;
/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

/// No start had a finite density.
#[derive(Debug, thiserror::Error)]
#[error("no position with a finite density was found")]
pub(super) struct NoMode;

/// The position of highest density that was found (d + 4 values).
pub(super) fn maximise(saas: &Saas, seed: u64) -> Result<Vec<f64>, NoMode> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let search = RefCell::new(Search {
        workspace: saas.workspace(),
        gradient: vec![0.0; saas.parameters()],
        best: None,
    });
    for _ in 0..STARTS {
        let Some(start) = start(saas, &mut generator) else {
            continue;
        };
        let problem = Problem {
            saas,
            search: &search,
        };
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY);
        // An error ends this start only: what it found is in `search`.
        let _ended = Executor::new(problem, solver)
            .configure(|state| state.param(start).max_iters(ITERATIONS))
            .timer(false)
            .run();
    }
    let best = search.into_inner().best;
    best.map(|(_, position)| position).ok_or(NoMode)
}

/// What the evaluations share, over all starts.
struct Search {
    workspace: Workspace,
    gradient: Vec<f64>,
    /// The highest log density so far, and where.
    best: Option<(f64, Vec<f64>)>,
}

/// The negative log density.
struct Problem<'a> {
    saas: &'a Saas,
    search: &'a RefCell<Search>,
}

impl Problem<'_> {
    /// Evaluates, remembers the best, and leaves the gradient in the search.
    fn evaluate(&self, position: &[f64]) -> Result<f64, DensityError> {
        let mut search = self.search.borrow_mut();
        let Search {
            workspace,
            gradient,
            best,
        } = &mut *search;
        let value = self.saas.log_density(position, gradient, workspace)?;
        if best.as_ref().is_none_or(|(highest, _)| value > *highest) {
            *best = Some((value, position.to_vec()));
        }
        Ok(value)
    }
}

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, position: &Vec<f64>) -> Result<f64, Error> {
        Ok(-self.evaluate(position)?)
    }
}

impl Gradient for Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, position: &Vec<f64>) -> Result<Vec<f64>, Error> {
        self.evaluate(position)?;
        let search = self.search.borrow();
        Ok(search.gradient.iter().map(|g| -g).collect())
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;

    #[test]
    fn the_mode_has_no_slope_and_is_higher_than_the_starts() {
        let inputs = Mat::from_fn(20, 3, |row, i| ((row * (i + 2)) % 7) as f64 / 6.0);
        let values: Vec<f64> = (0..20).map(|a| (4.0 * inputs[(a, 0)]).sin()).collect();
        let saas = Saas::new(inputs.as_ref(), &values, None);
        let mode = maximise(&saas, 0).expect("a mode");
        let mut gradient = vec![0.0; saas.parameters()];
        let mut workspace = saas.workspace();
        let highest = saas.log_density(&mode, &mut gradient, &mut workspace);
        assert!(gradient.iter().all(|g| g.abs() < 1e-3), "{gradient:?}");
        let mut generator = ChaCha8Rng::seed_from_u64(0);
        let begin = start(&saas, &mut generator).expect("a start");
        let lower = saas.log_density(&begin, &mut gradient, &mut workspace);
        assert!(highest.expect("finite") > lower.expect("finite"));
        assert_eq!(mode, maximise(&saas, 0).expect("a mode"));
    }
}
