//! The two shells of a search and the binary `peft-operator`: `local` carries a search out with processes on
//! one machine, `controller` on Kubernetes. What they do is decided in `autopeft-search`.

pub mod cli;
pub mod controller;
pub mod local;

/// The CustomResourceDefinition of PeftSearch, as `crds/peftsearches.yaml` holds it.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    let yaml = serde_saphyr::to_string(&autopeft_crds::crd())?;
    Ok(format!(
        "# Generated from crds/src by `make generate`.\n{yaml}"
    ))
}
