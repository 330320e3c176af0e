//! From a manifest and a work directory to a search that is ready to go on. Reads the manifest and
//! the journal, lets the trainer look at model and data, writes the journal's first line.

use std::path::{Path, PathBuf};

use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::space::SpaceError;
use autopeft_crds::spec::{ObjectiveName, PeftSearchSpec};
use autopeft_crds::trial::Inspection;
use autopeft_crds::validate::validate;
use autopeft_crds::{Decimal, FieldError, PeftSearch, PeftSearchStatus, SearchSpace};
use k8s_openapi::jiff::Timestamp;

use super::outputs::{self, OutputError};
use super::progress::Progress;
use super::runs::{Launch, Runs};
use super::search::Search;
use super::sources::{self, Overrides, SourceError};
use super::trainer::{self, TrainerError};
use autopeft_search::ask;
use autopeft_search::changes::{self, Change};
use autopeft_search::history::{FORMAT, Header, History};

use crate::local::journal::{self, Journal, JournalError, Lock};
use crate::local::manifest::{self, ReadError};
use autopeft_search::ledger::{Conclusion, ConclusionReason, Event};
use autopeft_search::measures::{self, Subject};
use autopeft_search::request::{self, Places};
use autopeft_search::status::{Metadata, status};

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The manifest.
    pub manifest: PathBuf,
    /// Where the search keeps its files.
    pub workdir: PathBuf,
    /// Where model and data are.
    pub overrides: Overrides,
    /// Takes the place of the manifest's parallelism.
    pub parallelism: Option<u32>,
    /// The trainer, where it is not to be looked for.
    pub trainer: Option<PathBuf>,
    /// `auto`, `cpu` or `cuda`.
    pub device: String,
}

/// Why a search cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// A flag that does not fit the manifest.
    #[error("--parallelism: {}; {}", .0.problem, .0.remedy)]
    Flag(FieldError),
    /// The work directory.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The work directory belongs to another search.
    #[error("{workdir} holds the search {found:?}, not {expected:?}; give another --workdir")]
    OtherSearch {
        /// The directory.
        workdir: PathBuf,
        /// Whose it is.
        found: String,
        /// The manifest's name.
        expected: String,
    },
    /// The manifest was changed in a way that past trials do not allow.
    #[error("{}", refusal(.workdir, .changes))]
    Changed {
        /// The directory.
        workdir: PathBuf,
        /// What may not change.
        changes: Vec<Change>,
    },
    /// Model or data are not there.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The trainer.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// No configuration is within the bound on the parameters.
    #[error(
        "spec.objectives[{index}].bound: {bound} % of the backbone is {most} parameters, and the smallest configuration of the search space has {least} ({percent} %); raise the bound, or let spec.searchSpace have smaller ones"
    )]
    Bound {
        /// The entry of the list.
        index: usize,
        /// The bound, percent.
        bound: Decimal,
        /// The bound in parameters.
        most: u64,
        /// The smallest cost.
        least: u64,
        /// The same in percent.
        percent: String,
    },
    /// The space does not fit the model.
    #[error("spec.{0}")]
    Space(#[from] SpaceError),
    /// Model or data are not what they were.
    #[error(
        "{workdir} began with {before}, and now there is {after}; give the same model and data as before, or another --workdir"
    )]
    OtherInputs {
        /// The directory.
        workdir: PathBuf,
        /// What they were.
        before: String,
        /// What they are.
        after: String,
    },
    /// The files of the model or of the data are not what they were.
    #[error(
        "{place}: the {what} is not the one that the search in {workdir} began with (SHA-256 {before}…, now {after}…), so trials could not be compared; put its files back as they were, or give another --workdir"
    )]
    OtherFiles {
        /// The directory, or the hub's repository.
        place: String,
        /// `model` or `data`.
        what: &'static str,
        /// The search's directory.
        workdir: PathBuf,
        /// The fingerprint that the search began with.
        before: String,
        /// The fingerprint now.
        after: String,
    },
    /// The journal is gone, and what it told of is not.
    #[error(
        "{workdir}: there are results in trials/, but {} is missing or has no first line; put it back from a copy, or give another --workdir to begin anew",
        journal::FILE
    )]
    NoJournal {
        /// The directory.
        workdir: PathBuf,
    },
    /// A file of a search that has ended cannot be made again.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The program's own defect.
    #[error("the placeholder configuration is refused: {0}")]
    Placeholder(#[from] autopeft_crds::configuration::LayerMaskError),
}

fn refusal(workdir: &Path, changes: &[Change]) -> String {
    let mut text = format!(
        "the manifest has changed since the search in {} began, and its trials could not be compared:",
        workdir.display()
    );
    for Change {
        field,
        before,
        after,
        allowed: _,
    } in changes
    {
        text.push_str(&format!("\n  {field} was {before} and is now {after}"));
    }
    text.push_str(&format!(
        "\nchange it back, or give another --workdir; these may change: {}",
        changes::MUTABLE.join(", ")
    ));
    text
}

/// A search that can go on, or one that has ended before.
#[derive(Debug)]
pub enum Prepared {
    /// There is something to do.
    Ready(Box<Search>, Lock),
    /// It ended before, and the manifest asks for nothing new.
    Over(Box<Ended>),
}

/// A search that ended before.
#[derive(Debug)]
pub struct Ended {
    /// What it searched.
    pub spec: PeftSearchSpec,
    /// What was found then.
    pub status: PeftSearchStatus,
    /// How it ended.
    pub conclusion: Conclusion,
    /// The files that were missing or damaged and are made again.
    pub repaired: Vec<&'static str>,
}

/// Reads everything and gets the search ready.
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
    let mut manifest = read.search;
    if let Some(parallelism) = parallelism {
        manifest.spec.parallelism = parallelism;
        if let Some(error) = validate(&manifest.spec).into_iter().next() {
            return Err(SetupError::Flag(error));
        }
    }
    let name = manifest.metadata.name.clone().unwrap_or_default();
    let lock = journal::lock(&workdir)?;
    let history = journal::read(&workdir)?;
    if history.is_none() && has_trials(&workdir) {
        return Err(SetupError::NoJournal { workdir });
    }
    let changed = match &history {
        Some(history) => compare(history, &name, &manifest.spec, &workdir)?,
        None => false,
    };
    let history = match history {
        Some(history) if !changed => match ended(&history, &workdir, &manifest)? {
            Some(over) => return Ok(Prepared::Over(Box::new(over))),
            None => Some(history),
        },
        history => history,
    };
    let base = path.parent().unwrap_or(Path::new("."));
    let places = sources::resolve(&manifest.spec, base, &overrides)?;
    let trainer = trainer::find(given.as_deref())?;
    let uid = match &history {
        Some(history) => history.header.uid.clone(),
        None => new_uid(&name),
    };
    let probe = request::inspection(&manifest.spec, &places, &uid)?;
    let inspection = trainer::inspect(&trainer, &workdir, &probe, &device).await?;
    let space = SearchSpace::resolve(
        &manifest.spec.search_space,
        inspection.layers as usize,
        inspection.hidden_size,
    )?;
    check_bound(&manifest.spec, &space, &inspection)?;
    for (line, warning) in warnings {
        tracing::warn!("{}{line}: {warning}", path.display());
    }
    if let Some(history) = &history {
        compare_inputs(history, &inspection, &places, &workdir)?;
    }
    let journal = open(
        &lock, &workdir, history, &manifest, inspection, uid, changed,
    )?;
    let launch = Launch {
        trainer,
        device,
        threads: threads(manifest.spec.parallelism),
    };
    let runs = Runs::new(&workdir, launch, manifest.spec.task.score_metric());
    let metadata = Metadata::new(&manifest.metadata, journal.header());
    let search = Search {
        workdir,
        metadata,
        subject: Subject::new(journal.spec(), &space, &journal.header().inspection),
        journal,
        places,
        runs,
        progress,
    };
    Ok(Prepared::Ready(Box::new(search), lock))
}

/// Whether the manifest differs from what the search went by; an error where it may not.
fn compare(
    history: &History,
    name: &str,
    spec: &PeftSearchSpec,
    workdir: &Path,
) -> Result<bool, SetupError> {
    if history.header.name != name {
        return Err(SetupError::OtherSearch {
            workdir: workdir.into(),
            found: history.header.name.clone(),
            expected: name.into(),
        });
    }
    let found = changes::changes(history.spec_at(u64::MAX), spec);
    let changed = !found.is_empty();
    let refused: Vec<Change> = found.into_iter().filter(|change| !change.allowed).collect();
    if refused.is_empty() {
        Ok(changed)
    } else {
        Err(SetupError::Changed {
            workdir: workdir.into(),
            changes: refused,
        })
    }
}

/// Whether an attempt has left its directory behind.
fn has_trials(workdir: &Path) -> bool {
    std::fs::read_dir(workdir.join("trials")).is_ok_and(|mut found| found.next().is_some())
}

/// The search as it ended, its files put right; `None` where it goes on.
fn ended(
    history: &History,
    workdir: &Path,
    manifest: &PeftSearch,
) -> Result<Option<Ended>, SetupError> {
    let ledger = history.ledger_at(u64::MAX).map_err(JournalError::Refused)?;
    let Some((conclusion, _)) = ledger.conclusion() else {
        return Ok(None);
    };
    // The input may have been mended: it is looked at again.
    if conclusion.reason == ConclusionReason::BadInput {
        return Ok(None);
    }
    let spec = history.spec_at(u64::MAX);
    let model = &history.header.inspection;
    let space = SearchSpace::resolve(&spec.search_space, model.layers as usize, model.hidden_size)?;
    let subject = Subject::new(spec, &space, model);
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

fn open(
    lock: &Lock,
    workdir: &Path,
    history: Option<History>,
    manifest: &PeftSearch,
    inspection: Inspection,
    uid: String,
    changed: bool,
) -> Result<Journal, SetupError> {
    let now = Timestamp::now();
    let Some(history) = history else {
        let header = Header {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            uid,
            name: manifest.metadata.name.clone().unwrap_or_default(),
            at: now,
            spec: manifest.spec.clone(),
            inspection,
        };
        return Ok(Journal::create(lock, workdir, header)?);
    };
    if history.torn {
        tracing::warn!(
            "the journal's last line was cut off by a crash and is dropped; nothing had followed from it"
        );
    }
    let mut journal = Journal::resume(lock, workdir, history)?;
    if changed {
        let event = Event::SpecChanged(Box::new(manifest.spec.clone()));
        journal.write(event, now)?;
        tracing::info!("the manifest has changed; the search goes on with it");
    }
    let ledger = journal.ledger();
    let by_input = |(end, _): &(Conclusion, Timestamp)| end.reason == ConclusionReason::BadInput;
    if ledger.bad_input().is_some() || ledger.conclusion().is_some_and(by_input) {
        journal.write(Event::Reopened, now)?;
        tracing::info!("the model and the data are good now; the search goes on");
    }
    Ok(journal)
}

/// Refuses a bound that nothing in the space can meet.
fn check_bound(
    spec: &PeftSearchSpec,
    space: &SearchSpace,
    model: &Inspection,
) -> Result<(), SetupError> {
    let least = space.least_parameters();
    let bound = ask::problem(spec, space, model).max_parameters;
    let entry = spec
        .objectives
        .iter()
        .enumerate()
        .find_map(|(index, entry)| {
            let of_cost = entry.name == ObjectiveName::TrainableParameters;
            Some((index, entry.bound.filter(|_| of_cost)?))
        });
    match (bound, entry) {
        (Some(most), Some((index, bound))) if most < least => Err(SetupError::Bound {
            index,
            bound,
            most,
            least,
            percent: format!(
                "{:.2e}",
                100.0 * least as f64 / model.backbone_parameters as f64
            )
            .parse::<Decimal>()
            .map_or_else(|_| "?".into(), |percent| percent.to_string()),
        }),
        _ => Ok(()),
    }
}

/// Refuses a model or data that are not those that the search began with.
fn compare_inputs(
    history: &History,
    now: &Inspection,
    places: &Places,
    workdir: &Path,
) -> Result<(), SetupError> {
    let before = &history.header.inspection;
    if describe(before) != describe(now) {
        return Err(SetupError::OtherInputs {
            workdir: workdir.into(),
            before: describe(before),
            after: describe(now),
        });
    }
    let Places {
        model,
        data,
        artifacts: _,
    } = places;
    for (what, place, before, after) in [
        (
            "model",
            model,
            &before.model_fingerprint,
            &now.model_fingerprint,
        ),
        (
            "data",
            data,
            &before.data_fingerprint,
            &now.data_fingerprint,
        ),
    ] {
        // A trainer of an earlier version takes no fingerprints.
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            return Err(SetupError::OtherFiles {
                place: place.clone(),
                what,
                workdir: workdir.into(),
                before: before.chars().take(12).collect(),
                after: after.chars().take(12).collect(),
            });
        }
    }
    Ok(())
}

/// The facts of an inspection in words; two are about the same kind of input where these are equal.
fn describe(inspection: &Inspection) -> String {
    let Inspection {
        architecture,
        layers,
        hidden_size,
        backbone_parameters,
        train_examples,
        validation_examples,
        model_fingerprint: _,
        data_fingerprint: _,
        constant_score: _,
        other: _,
    } = inspection;
    format!(
        "a {architecture} model of {layers} layers, hidden size {hidden_size} and {backbone_parameters} parameters with {train_examples} training and {validation_examples} validation examples"
    )
}

/// Children that share the machine's cores are told how many each may use, unless the user says so.
fn threads(parallelism: u32) -> Option<usize> {
    if parallelism == 1 || std::env::var_os("OMP_NUM_THREADS").is_some() {
        return None;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Some((cores / parallelism as usize).max(1))
}

/// A name for this search that no other has.
fn new_uid(name: &str) -> String {
    let moment = Timestamp::now().as_nanosecond();
    let process = std::process::id();
    hex_prefix(format!("{name} {moment} {process}").as_bytes())
}
