//! The bottlenecks of `adapters`, as configurations of its one `BnConfig`: a row each.

use autopeft_crds::Module;
use serde_json::{Value, json};

/// A bottleneck after the feed-forward block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bottleneck {
    /// The module that it is.
    pub module: Module,
    /// Whether it reads the block's input instead of its output.
    pub is_parallel: bool,
    /// Whether the layer's own norm is applied to what it reads.
    pub is_normed: bool,
    /// The activation, by the name in transformers.
    pub activation: &'static str,
    /// By which its output is multiplied.
    pub scale: f64,
    /// How the library would initialise it.
    pub init: &'static str,
}

/// The rows.
pub(super) const BOTTLENECKS: &[Bottleneck] = &[
    Bottleneck {
        module: Module::SerialAdapter,
        is_parallel: false,
        is_normed: true,
        activation: "relu",
        scale: 1.0,
        init: "bert",
    },
    Bottleneck {
        module: Module::ParallelAdapter,
        is_parallel: true,
        is_normed: false,
        activation: "relu",
        scale: 4.0,
        init: "mam_adapter",
    },
    Bottleneck {
        module: Module::AdaMix,
        is_parallel: false,
        is_normed: false,
        activation: "gelu",
        scale: 1.0,
        init: "bert",
    },
];

impl Bottleneck {
    /// The row of a module.
    pub(super) fn of(module: Module) -> Option<&'static Self> {
        BOTTLENECKS.iter().find(|row| row.module == module)
    }

    /// The library's configuration; `times` multiplies the output once more.
    pub(super) fn config(
        &self,
        hidden: i64,
        size: u32,
        times: f64,
        is_gated: bool,
        leave_out: &[usize],
    ) -> Value {
        json!({
            "mh_adapter": false, "output_adapter": true, "reduction_factor": reduction_factor(hidden, size),
            "non_linearity": self.activation, "original_ln_before": self.is_normed, "original_ln_after": true,
            "ln_before": false, "ln_after": false, "residual_before_ln": true, "adapter_residual_before_ln": false,
            "init_weights": self.init, "is_parallel": self.is_parallel, "scaling": self.scale * times,
            "use_gating": is_gated, "dropout": 0.0, "cross_adapter": false, "inv_adapter": null,
            "inv_adapter_reduction_factor": null, "phm_layer": false, "stochastic_depth": 0.0,
            "leave_out": leave_out,
        })
    }
}

/// A factor that makes a bottleneck of D: the library rounds H over it down. H / D itself may come out just below.
fn reduction_factor(hidden: i64, size: u32) -> f64 {
    hidden as f64 / (f64::from(size) + 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For every width and size the library's `int(H // factor)` is the size.
    #[test]
    fn a_reduction_factor_gives_exactly_the_size() {
        for hidden in [16, 312, 384, 768, 1000, 1024] {
            for size in 1..=8192 {
                let factor = reduction_factor(hidden, size);
                let found = (hidden as f64).div_euclid(factor);
                assert_eq!(found, f64::from(size), "{hidden}");
            }
        }
    }
}
