//! Searches as objects: of a work directory, or of a cluster.

use std::path::Path;

use autopeft_crds::PeftSearch;
use autopeft_search::status::{Metadata, status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::controller;
use crate::local::journal::{self, JournalError};
use crate::local::setup;

/// The object of a work directory, as its journal has it.
pub(super) fn of_workdir(workdir: &Path) -> Result<PeftSearch, String> {
    let missing = || JournalError::Missing(workdir.into()).to_string();
    let history = journal::read(workdir).map_err(|error| error.to_string())?;
    let history = history.ok_or_else(missing)?;
    let ledger = history
        .ledger_at(u64::MAX)
        .map_err(|error| error.to_string())?;
    let spec = history.spec_at(u64::MAX);
    let subject =
        setup::subject(spec, &history.header.inspection).map_err(|error| error.to_string())?;
    let named = ObjectMeta {
        name: Some(history.header.name.clone()),
        ..ObjectMeta::default()
    };
    let metadata = Metadata::new(&named, &history.header);
    Ok(metadata.object(spec, &status(&subject, &ledger)))
}

/// An object of the cluster of the kubeconfig, by default in its namespace.
pub(super) fn of_cluster(name: &str, namespace: Option<&str>) -> Result<PeftSearch, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(controller::process::read(namespace, name))
}
