//! From a manifest and a work directory to a search that is ready to run. Reads the manifest and the journal, runs the
//! inspection, writes the journal's first line.

use std::path::{Path, PathBuf};

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::space::SpaceError;
use autopeft_crds::trial::Inspection;
use autopeft_crds::validate::validate;
use autopeft_crds::{FieldError, PeftSearch, PeftSearchStatus, SearchSpace};
use k8s_openapi::jiff::Timestamp;

use super::outputs::{self, OutputError};
use super::progress::Progress;
use super::runs::{Launch, Runs};
use super::search::Search;
use super::sources::{self, Overrides, SourceError};
use super::trainer::{self, TrainerError};
use crate::local::journal::{self, Journal, JournalError, Lock};
use crate::local::manifest::{self, ReadError};
use autopeft_search::history::{FORMAT, Header, History};
use autopeft_search::ledger::Conclusion;
use autopeft_search::measures::{self, Subject};
use autopeft_search::request::Locations;
use autopeft_search::resume::{self, Refusal};
use autopeft_search::status::{Metadata, status};
use autopeft_search::{feasible, log, request, retries};

/// The options of the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// The manifest.
    pub manifest: PathBuf,
    /// The work directory.
    pub workdir: PathBuf,
    /// Overrides of the manifest's sources.
    pub overrides: Overrides,
    /// Overrides the manifest's parallelism.
    pub parallelism: Option<u32>,
    /// The path of the trainer; searched for if not given.
    pub trainer: Option<PathBuf>,
    /// `auto`, `cpu` or `cuda`.
    pub device: String,
}

/// Why a search cannot start or resume.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// A flag that is invalid with this manifest.
    #[error("--parallelism: {}; {}", .0.problem, .0.remedy)]
    Flag(FieldError),
    /// The work directory.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The work directory has another search.
    #[error("{}: {}", .0.display(), .1)]
    Other(PathBuf, Refusal),
    /// The model or the data is missing.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The trainer.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// No configuration is within the bounds.
    #[error("{0}")]
    Bound(FieldError),
    /// The space does not fit the model.
    #[error("spec.{0}")]
    Space(#[from] SpaceError),
    /// The journal is missing, but its results are not.
    #[error(
        "{workdir}: there are results in trials/, but {} is missing or has no first line; restore it from a copy, or give another --workdir to start again",
        journal::FILE
    )]
    NoJournal {
        /// The directory.
        workdir: PathBuf,
    },
    /// A file of a search that has ended cannot be regenerated.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A defect of this program.
    #[error("the placeholder configuration is rejected: {0}")]
    Placeholder(#[from] autopeft_crds::configuration::LayerMaskError),
}

/// A search that can run, or one that has already ended.
#[derive(Debug)]
pub enum Prepared {
    /// It can run.
    Ready(Box<Search>, Lock),
    /// It has already ended, and the manifest has no changes to resume with.
    Ended(Box<Ended>),
}

/// A search that has already ended.
#[derive(Debug)]
pub struct Ended {
    /// Its spec.
    pub spec: PeftSearchSpec,
    /// Its status.
    pub status: PeftSearchStatus,
    /// How it ended.
    pub conclusion: Conclusion,
    /// The files that were missing or damaged and have been regenerated.
    pub repaired: Vec<&'static str>,
}

/// Prepares a search.
pub async fn prepare(options: Options, progress: Progress) -> Result<Prepared, SetupError> {
    let Options {
        manifest: path,
        workdir,
        overrides,
        parallelism,
        trainer: given,
        device,
    } = options;
    let read = manifest::read(&path)?;
    let warnings = read.advice(&[]);
    let manifest = overridden(read.search, parallelism)?;
    let spec = &manifest.spec;
    let name = manifest.metadata.name.clone().unwrap_or_default();
    let other = |refusal| SetupError::Other(workdir.clone(), refusal);
    let lock = journal::lock(&workdir)?;
    let history = journal::read(&workdir)?;
    if history.is_none() && has_trials(&workdir) {
        return Err(SetupError::NoJournal { workdir });
    }
    let history = history.filter(|history| !resume::is_blank(history, &name));
    let mut changed = false;
    if let Some(history) = &history {
        changed = resume::manifest(history, &name, spec).map_err(other)?;
        if !changed && let Some(over) = ended(history, &workdir, &manifest)? {
            return Ok(Prepared::Ended(Box::new(over)));
        }
    }
    let base = path.parent().unwrap_or(Path::new("."));
    let locations = Locations {
        promoted: Some(sources::adapters(&workdir)?),
        ..sources::resolve(spec, base, &overrides)?
    };
    let trainer = trainer::find(given.as_deref())?;
    let begun = history.as_ref().map(|history| &history.header);
    let uid = begun.map_or_else(|| new_uid(&name), |header| header.uid.clone());
    let probe = request::inspection(spec, &locations, &uid)?;
    let inspection = trainer::inspect(&trainer, &workdir, &probe, &device).await?;
    let subject = subject(spec, &inspection)?;
    feasible::check(&subject).map_err(SetupError::Bound)?;
    for (line, warning) in warnings {
        tracing::warn!("{}{line}: {warning}", path.display());
    }
    let journal = match history {
        Some(history) => {
            resume::inputs(&history.header.inspection, &inspection, &locations).map_err(other)?;
            resume_journal(&lock, &workdir, history, changed.then_some(spec), &progress)?
        }
        None => {
            let header = Header {
                format: FORMAT,
                version: env!("CARGO_PKG_VERSION").into(),
                uid,
                name,
                at: Timestamp::now(),
                spec: spec.clone(),
                inspection,
            };
            Journal::create(&lock, &workdir, header)?
        }
    };
    if let Some(told) = retries::without_effect(spec, journal.ledger().entries()) {
        tracing::warn!("{told}");
    }
    let launch = Launch {
        trainer,
        device,
        threads: threads(spec.parallelism),
    };
    let search = Search {
        runs: Runs::new(&workdir, launch),
        workdir,
        metadata: Metadata::new(&manifest.metadata, journal.header()),
        subject: self::subject(journal.spec(), &journal.header().inspection)?,
        journal,
        locations,
        progress,
    };
    Ok(Prepared::Ready(Box::new(search), lock))
}

/// The manifest with the overrides of the command line.
fn overridden(
    mut manifest: PeftSearch,
    parallelism: Option<u32>,
) -> Result<PeftSearch, SetupError> {
    if let Some(parallelism) = parallelism {
        manifest.spec.parallelism = parallelism;
        if let Some(error) = validate(&manifest.spec).into_iter().next() {
            return Err(SetupError::Flag(error));
        }
    }
    Ok(manifest)
}

/// Whether there is a directory of an attempt.
fn has_trials(workdir: &Path) -> bool {
    std::fs::read_dir(workdir.join("trials")).is_ok_and(|mut found| found.next().is_some())
}

/// A spec against its model.
pub fn subject(spec: &PeftSearchSpec, model: &Inspection) -> Result<Subject, SpaceError> {
    let space = SearchSpace::resolve(&spec.search_space, model.layers as usize, model.shape())?;
    Ok(Subject::new(spec, &space, model))
}

/// The search as it ended, its files repaired; `None` if it continues.
fn ended(
    history: &History,
    workdir: &Path,
    manifest: &PeftSearch,
) -> Result<Option<Ended>, SetupError> {
    let ledger = history.ledger_at(u64::MAX).map_err(JournalError::Refused)?;
    let Some(conclusion) = resume::ended(&ledger) else {
        return Ok(None);
    };
    let spec = history.spec_at(u64::MAX);
    let subject = subject(spec, &history.header.inspection)?;
    let status = status(&subject, &ledger);
    let object = Metadata::new(&manifest.metadata, &history.header).object(spec, &status);
    let trace = measures::trace(&subject, &ledger);
    Ok(Some(Ended {
        spec: spec.clone(),
        status,
        conclusion: conclusion.clone(),
        repaired: outputs::repair(workdir, &object, &trace)?,
    }))
}

/// Resumes the journal, with `changed` as the new spec.
fn resume_journal(
    lock: &Lock,
    workdir: &Path,
    history: History,
    changed: Option<&PeftSearchSpec>,
    progress: &Progress,
) -> Result<Journal, SetupError> {
    if history.torn {
        tracing::warn!(
            "the journal's last line was truncated by a crash and is dropped; it had not taken effect"
        );
    }
    let mut journal = Journal::resume(lock, workdir, history)?;
    for event in resume::events(journal.ledger(), changed) {
        let line = log::line(&event, &PeftSearchStatus::default());
        journal.write(event, Timestamp::now())?;
        if let Some(line) = line {
            progress.log(&line);
        }
    }
    Ok(journal)
}

/// Threads per child if several share the machine's cores; `OMP_NUM_THREADS` overrides it.
fn threads(parallelism: u32) -> Option<usize> {
    if parallelism == 1 || std::env::var_os("OMP_NUM_THREADS").is_some() {
        return None;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Some((cores / parallelism as usize).max(1))
}

/// A unique UID for this search.
fn new_uid(name: &str) -> String {
    let moment = Timestamp::now().as_nanosecond();
    let process = std::process::id();
    hex_prefix(format!("{name} {moment} {process}").as_bytes())
}
