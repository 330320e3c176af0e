//! The operator: decides what a search does next, and carries it out.
//!
//! A step of a search reads as `observe → plan → act → record`. `planner`, `ledger`, `measures` and
//! `status` are pure; `manifest`, `journal` and `local` touch the disk, and `local` starts processes.

pub mod ask;
pub mod changes;
pub mod cli;
pub mod controller;
pub mod health;
pub mod journal;
pub mod ledger;
pub mod local;
pub mod manifest;
pub mod measures;
pub mod planner;
pub mod replay;
pub mod report;
pub mod request;
pub mod status;

/// The CustomResourceDefinition of PeftSearch, as `crds/peftsearches.yaml` holds it.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    let yaml = serde_saphyr::to_string(&autopeft_crds::crd())?;
    Ok(format!(
        "# Generated from crds/src by `make generate`.\n{yaml}"
    ))
}
