//! Cholesky factorisation and inverse with scratch memory of their own, on one thread.
//!
//! A thin layer over `faer`: it fixes the parallelism (none, so that results do not depend on the
//! machine's load) and adds the jitter escalation.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::{Auto, MatMut, MatRef, Par, Spec};

/// The jitter is tried as these shares of the mean diagonal, after none at all.
const JITTER: [f64; 4] = [1e-10, 1e-8, 1e-6, 1e-4];

/// A symmetric matrix without a Cholesky factor.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "the covariance is not positive definite: pivot {pivot} fails with {jitter:e} added to the diagonal"
)]
pub struct NotPositiveDefinite {
    /// The first row whose pivot is not positive.
    pub pivot: usize,
    /// What had been added to the diagonal in the last attempt.
    pub jitter: f64,
}

/// Factorises matrices of one size without allocating.
pub(crate) struct Factoriser {
    memory: MemBuffer,
}

impl Factoriser {
    /// Scratch memory for n×n matrices.
    pub(crate) fn new(n: usize) -> Self {
        let factor = llt::factor::cholesky_in_place_scratch::<f64>(n, Par::Seq, parameters());
        let inverse = llt::inverse::inverse_scratch::<f64>(n, Par::Seq);
        Self {
            memory: MemBuffer::new(factor.or(inverse)),
        }
    }

    /// Replaces the lower triangle by the Cholesky factor. On failure, returns the first bad
    /// pivot; the lower triangle is then spoilt. The upper triangle is neither read nor written.
    pub(crate) fn factorise(&mut self, matrix: MatMut<'_, f64>) -> Result<(), usize> {
        let stack = MemStack::new(&mut self.memory);
        llt::factor::cholesky_in_place(
            matrix,
            llt::factor::LltRegularization::default(),
            Par::Seq,
            stack,
            parameters(),
        )
        .map(|_| ())
        .map_err(|llt::factor::LltError::NonPositivePivot { index }| index)
    }

    /// Writes the lower triangle of `(L Lᵀ)⁻¹`, where `factor` has `L` in its lower triangle.
    pub(crate) fn invert(&mut self, factor: MatRef<'_, f64>, inverse: MatMut<'_, f64>) {
        let stack = MemStack::new(&mut self.memory);
        llt::inverse::inverse(inverse, factor, Par::Seq, stack);
    }

    /// `factorise` of a full symmetric matrix, with as much jitter on the diagonal as it takes.
    /// Returns what was added. The upper triangle is left as it was.
    pub(crate) fn factorise_with_jitter(
        &mut self,
        mut matrix: MatMut<'_, f64>,
    ) -> Result<f64, NotPositiveDefinite> {
        let n = matrix.nrows();
        let diagonal: Vec<f64> = (0..n).map(|j| matrix[(j, j)]).collect();
        let mean = diagonal.iter().sum::<f64>() / n.max(1) as f64;
        let mut failure = match self.factorise(matrix.as_mut()) {
            Ok(()) => return Ok(0.0),
            Err(pivot) => NotPositiveDefinite { pivot, jitter: 0.0 },
        };
        for share in JITTER {
            let jitter = share * mean;
            for column in 0..n {
                matrix[(column, column)] = diagonal[column] + jitter;
                for row in column + 1..n {
                    matrix[(row, column)] = matrix[(column, row)];
                }
            }
            match self.factorise(matrix.as_mut()) {
                Ok(()) => return Ok(jitter),
                Err(pivot) => failure = NotPositiveDefinite { pivot, jitter },
            }
        }
        Err(failure)
    }
}

fn parameters() -> Spec<llt::factor::LltParams, f64> {
    Spec::new(<llt::factor::LltParams as Auto<f64>>::auto())
}
