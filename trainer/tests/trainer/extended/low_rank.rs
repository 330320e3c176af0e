//! A low-rank update of queries and values, W·x + Up(Down(x)): LoRA (arXiv:2106.09685) with scale 1.

use std::rc::Rc;

use autopeft_crds::Module;
use autopeft_trainer::encoder::sites::Site;
use autopeft_trainer::nn::{default_bound, uniform, zeros};
use autopeft_trainer::peft::{Insertion, LayerCall, ModuleRow, PeftModule, Scope};
use tch::Tensor;

/// The module. With a row of facts it would have a size of its own; here the serial adapter's is its rank.
pub const LOW_RANK: ModuleRow = ModuleRow {
    name: "low_rank",
    module: Module::SerialAdapter,
    scope: Scope::Layer,
    init: |insertion| Rc::new(LowRank::new(insertion)),
};

#[derive(Debug)]
struct LowRank {
    query: [Tensor; 2],
    value: [Tensor; 2],
}

impl LowRank {
    fn new(insertion: &Insertion<'_>) -> Self {
        let (rank, hidden) = (insertion.size, insertion.model.hidden_size);
        let update = || {
            [
                uniform(&[rank, hidden], default_bound(hidden), insertion.device),
                zeros(&[hidden, rank], insertion.device),
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
        _call: &LayerCall<'_>,
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
