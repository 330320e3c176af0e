//! A low-rank update of queries and values, W·x + Up(Down(x)): LoRA (arXiv:2106.09685) with scale 1.

use std::rc::Rc;

use autopeft_crds::Module;
use autopeft_trainer::encoder::sites::Site;
use autopeft_trainer::nn::{default_bound, uniform, zeros};
use autopeft_trainer::peft::{MethodRow, PeftModule, Place, Scope, Turn};
use tch::Tensor;

/// The method. A module of its own would have a row of facts; here the serial adapter's size is its rank.
pub const LOW_RANK: MethodRow = MethodRow {
    name: "low_rank",
    module: Module::SerialAdapter,
    scope: Scope::Layer,
    fresh: |place| Rc::new(LowRank::new(place)),
};

#[derive(Debug)]
struct LowRank {
    query: [Tensor; 2],
    value: [Tensor; 2],
}

impl LowRank {
    fn new(place: &Place<'_>) -> Self {
        let (rank, hidden) = (place.size, place.model.hidden_size);
        let update = || {
            [
                uniform(&[rank, hidden], default_bound(hidden), place.device),
                zeros(&[hidden, rank], place.device),
            ]
        };
        Self {
            query: update(),
            value: update(),
        }
    }
}

impl PeftModule for LowRank {
    fn named(&self) -> Vec<(String, Tensor)> {
        let sites = [("query", &self.query), ("value", &self.value)];
        sites
            .into_iter()
            .flat_map(|(site, [down, up])| {
                [("down", down), ("up", up)]
                    .map(|(name, tensor)| (format!("{site}.{name}"), tensor.shallow_clone()))
            })
            .collect()
    }

    fn replaced(
        &self,
        _turn: &Turn<'_>,
        site: Site,
        input: &Tensor,
        output: &Tensor,
    ) -> Option<Tensor> {
        let [down, up] = match site {
            Site::Query => &self.query,
            Site::Value => &self.value,
            _ => return None,
        };
        let down = input.matmul(&down.to_kind(input.kind()).transpose(0, 1));
        Some(output + down.matmul(&up.to_kind(input.kind()).transpose(0, 1)))
    }
}
