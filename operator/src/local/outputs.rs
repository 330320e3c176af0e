//! The files of a work directory that follow from the journal: written whole, never read back.

use std::path::Path;

use autopeft_crds::PeftSearch;

use super::files::{self, FileError};
use crate::report::{self, ReportError};

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The disk or the permissions.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The status as YAML.
    #[error("status.yaml cannot be made: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Writes `status.yaml`: what `kubectl get peftsearch -o yaml` would show.
pub fn write_status(workdir: &Path, search: &PeftSearch) -> Result<(), OutputError> {
    let text = serde_saphyr::to_string(search)?;
    files::replace(&workdir.join("status.yaml"), text.as_bytes())?;
    Ok(())
}

/// Writes what people look at: `trials.csv`, `front.svg` and `report.html`. `trace` is the
/// hypervolume after each finished trial.
pub fn write_reports(
    workdir: &Path,
    search: &PeftSearch,
    trace: &[(u32, f64)],
) -> Result<(), OutputError> {
    let status = search.status.clone().unwrap_or_default();
    for (name, text) in [
        ("trials.csv", report::trials_csv(&status)?),
        ("front.svg", report::front_svg(search)?),
        ("report.html", report::report_html(search, trace)?),
    ] {
        files::replace(&workdir.join(name), text.as_bytes())?;
    }
    Ok(())
}
