//! The read-only commands: `validate`, `replay`, `crd`.

use std::path::Path;
use std::process::ExitCode;

use autopeft_crds::validate::advice_for_a_cluster;
use autopeft_search::replay;

use super::output::{BROKEN_PIPE, FAILED, Reader, print, say};
use crate::local::{journal, manifest};

/// Checks a manifest.
pub(super) fn validate(path: &Path) -> Result<ExitCode, String> {
    let manifest = manifest::read(path).map_err(|error| error.to_string())?;
    let search = &manifest.search;
    for (line, warning) in manifest.advice(&advice_for_a_cluster(&search.spec)) {
        say(format!("warning: {}{line}: {warning}", path.display()));
    }
    let name = search.metadata.name.as_deref().unwrap_or_default();
    print(format!(
        "{}: the PeftSearch {name} is valid",
        path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Recomputes every suggestion of a search, until standard output is closed.
pub(super) fn replay(workdir: &Path) -> Result<ExitCode, String> {
    let history = journal::read(workdir)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| journal::JournalError::Missing(workdir.into()).to_string())?;
    let mut counts = replay::Counts::default();
    for step in replay::replay(&history) {
        let step = step.map_err(|error| error.to_string())?;
        counts.add(&step);
        if print(step)? == Reader::Closed {
            return Ok(ExitCode::from(BROKEN_PIPE));
        }
    }
    print(counts)?;
    Ok(if counts.different == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Prints the CustomResourceDefinition.
pub(super) fn crd() -> Result<ExitCode, String> {
    let yaml = crate::crd_yaml().map_err(|error| error.to_string())?;
    print(yaml.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
