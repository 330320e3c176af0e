//! The files of a work directory that follow from the journal: written whole, never read back.

use std::path::Path;

use autopeft_crds::spec::PeftSearchSpec;
use autopeft_crds::{PeftSearch, PeftSearchStatus};

use super::files::{self, FileError};
use crate::status::Metadata;

/// Writes `status.yaml`: what `kubectl get peftsearch -o yaml` would show.
pub fn write_status(
    workdir: &Path,
    metadata: &Metadata,
    spec: &PeftSearchSpec,
    status: &PeftSearchStatus,
) -> Result<(), FileError> {
    let object: PeftSearch = metadata.object(spec, status);
    let path = workdir.join("status.yaml");
    let text = serde_saphyr::to_string(&object).map_err(|error| FileError {
        path: path.clone(),
        source: std::io::Error::other(error.to_string()),
        remedy: "report this",
    })?;
    files::replace(&path, text.as_bytes())
}

/// Writes everything that is written at the end.
pub fn write_all(
    workdir: &Path,
    metadata: &Metadata,
    spec: &PeftSearchSpec,
    status: &PeftSearchStatus,
) -> Result<(), FileError> {
    write_status(workdir, metadata, spec, status)
}
