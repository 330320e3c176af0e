//! Whether a trial's pod has the memory that its backbone takes in any case. No I/O, no clock.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::spec::Precision;
use autopeft_crds::trial::Inspection;

const MIB: f64 = 1_048_576.0;

/// What a trainer holds beside the weights with batches of one example, MiB: libtorch and the smallest activations
/// (docs/measurements.md).
const BESIDE_WEIGHTS: f64 = 200.0;

/// Why every trial will run out of memory, where it will. On a GPU, the weights are elsewhere.
pub fn shortage(spec: &PeftSearchSpec, model: &Inspection) -> Option<String> {
    let resources = &spec.trainer.resources;
    let bytes = match spec.training.precision {
        Precision::BFloat16 => 2.0,
        Precision::Auto | Precision::Float32 => 4.0,
    };
    let weights = (model.backbone_parameters as f64 * bytes / MIB).ceil();
    let least = weights + BESIDE_WEIGHTS;
    let is_short = resources.gpus == 0 && resources.memory_bytes()? < least * MIB;
    is_short.then(|| {
        format!(
            "spec.trainer.resources.memory is {}, but the weights of the model ({weights} MiB) and libtorch (about {BESIDE_WEIGHTS} MiB) take {least} MiB before the activations of a batch: trials will run out of memory and be recorded as infeasible; raise it",
            resources.memory
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_cannot_hold_the_backbone_is_told_with_what_it_takes() {
        let model: Inspection = serde_json::from_value(json!({
            "architecture": "bert", "layers": 6, "hiddenSize": 384, "backboneParameters": 22_713_216,
            "trainExamples": 1000, "validationExamples": 500,
        }))
        .expect("an inspection");
        let shortage = |memory: &str, gpus: u32, precision: &str| {
            let spec: PeftSearchSpec = serde_json::from_value(json!({
                "model": {"source": {"claim": {"name": "a"}}},
                "task": {"name": "rte", "source": {"claim": {"name": "a"}}},
                "training": {"precision": precision},
                "trainer": {"resources": {"memory": memory, "gpus": gpus}},
            }))
            .expect("a spec");
            super::shortage(&spec, &model)
        };
        let told = shortage("280Mi", 0, "Auto").expect("it is short");
        assert!(
            told.contains("memory is 280Mi") && told.contains("(87 MiB)"),
            "{told}"
        );
        assert!(told.contains("take 287 MiB"), "{told}");
        assert_eq!(shortage("287Mi", 0, "Float32"), None);
        assert_eq!(shortage("280Mi", 0, "BFloat16"), None);
        assert_eq!(shortage("280Mi", 1, "Auto"), None);
    }
}
