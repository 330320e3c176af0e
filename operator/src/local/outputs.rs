//! The files of a work directory that are derived from the journal: written atomically, read back only to check them.

use std::path::Path;

use autopeft_crds::PeftSearch;

use super::files::{self, FileError};
use autopeft_search::report::{self, ReportError};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// An I/O error.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The status as YAML.
    #[error("status.yaml cannot be generated: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

const STATUS: &str = "status.yaml";

/// Writes `status.yaml`: what `kubectl get peftsearch -o yaml` would show.
pub fn write_status(workdir: &Path, search: &PeftSearch) -> Result<(), OutputError> {
    files::replace(&workdir.join(STATUS), status_text(search)?.as_bytes())?;
    Ok(())
}

/// Writes the reports: `trials.csv`, `front.svg` and `report.html`. `trace` is the
/// hypervolume after each finished trial.
pub fn write_reports(
    workdir: &Path,
    search: &PeftSearch,
    trace: &[(u32, f64)],
) -> Result<(), OutputError> {
    for (name, text) in report_texts(search, trace)? {
        files::replace(&workdir.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Regenerates missing or damaged files, and returns their names.
pub fn repair(
    workdir: &Path,
    search: &PeftSearch,
    trace: &[(u32, f64)],
) -> Result<Vec<&'static str>, OutputError> {
    let status = (STATUS, status_text(search)?);
    let mut repaired = Vec::new();
    for (name, text) in std::iter::once(status).chain(report_texts(search, trace)?) {
        let path = workdir.join(name);
        if std::fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
            continue;
        }
        files::replace(&path, text.as_bytes())?;
        repaired.push(name);
    }
    Ok(repaired)
}

fn status_text(search: &PeftSearch) -> Result<String, OutputError> {
    Ok(serde_saphyr::to_string(search)?)
}

fn report_texts(
    search: &PeftSearch,
    trace: &[(u32, f64)],
) -> Result<[(&'static str, String); 3], OutputError> {
    let status = search.status.clone().unwrap_or_default();
    Ok([
        ("trials.csv", report::trials_csv(&status)?),
        ("front.svg", report::front_svg(search)?),
        ("report.html", report::report_html(search, trace)?),
    ])
}
