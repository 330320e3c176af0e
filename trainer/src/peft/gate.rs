//! The gate of UniPELT (Mao et al., arXiv:2110.07577): g = mean over the tokens of σ(w·u + b), one number a
//! text, with u the input of what it gates. Padding counts as in AdapterHub's `adapters`. w starts from
//! N(0, 0.02²), b from 0.

use tch::{Kind, Tensor};

use super::module::Insertion;
use crate::nn::{Linear, normal, zeros};

const DEVIATION: f64 = 0.02;

/// A gate; H + 1 parameters, which the paper's counts leave out.
#[derive(Debug)]
pub struct Gate(Linear);

impl Gate {
    /// A gate with its initial values, where modules are gated.
    pub fn of(insertion: &Insertion<'_>) -> Option<Self> {
        let (hidden, device) = (insertion.model.hidden_size, insertion.device);
        insertion.options.gated.then(|| {
            Self(Linear {
                weight: normal(&[1, hidden], DEVIATION, device),
                bias: zeros(&[1], device),
            })
        })
    }

    /// g of `[B, T, H]`: `[B, 1, 1]`, in float32.
    pub fn value(&self, input: &Tensor) -> Tensor {
        let of_tokens = self.0.forward(input, Kind::Float).sigmoid();
        of_tokens.mean_dim([1i64].as_slice(), true, Kind::Float)
    }

    /// The parameters under the names that checkpoints use.
    pub fn named(&self, name: &str) -> [(String, Tensor); 2] {
        self.0.named(name)
    }
}
