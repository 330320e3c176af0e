//! How the search chooses, and when it has converged.

use serde_json::json;

use super::{BadInput, refused, refused_below};

pub(super) fn rows() -> Vec<BadInput> {
    let nuts = |samples: u32, thinning: u32| json!({"samples": samples, "thinning": thinning});
    let many = json!({"nuts": nuts(64, 1), "acquisition": {"monteCarloSamples": 1025}});
    vec![
        refused_below(
            "no sample kept",
            "/algorithm/nuts",
            nuts(16, 17),
            ".thinning",
            "at most samples",
            "no sample would be kept",
        ),
        refused_below(
            "too many samples kept",
            "/algorithm/nuts",
            nuts(65, 1),
            ".thinning",
            "at most 64 samples",
            "at most 64 samples",
        ),
        refused_below(
            "too many draws of the front",
            "/algorithm",
            many,
            ".acquisition.monteCarloSamples",
            "at most 65536",
            "at most 65536",
        ),
        refused(
            "a tolerance below 0",
            "/convergence",
            json!({"trials": 2, "tolerance": "-0.1"}),
            "from 0 to 1",
            "0 to 1",
        )
        .at(".tolerance"),
        refused(
            "a tolerance over 1",
            "/convergence",
            json!({"trials": 2, "tolerance": "1.01"}),
            "from 0 to 1",
            "0 to 1",
        )
        .at(".tolerance"),
    ]
}
