//! `peft-operator estimate`: short trainings of some configurations, and what the whole search will cost.

use std::path::Path;
use std::process::ExitCode;

use autopeft_crds::status::LedgerEntry;
use autopeft_crds::trial::Inspection;
use autopeft_search::{estimate, report};

use super::output::{print, say};
use super::{HereArgs, runtime};
use crate::local::manifest;
use crate::local::progress::Progress;
use crate::local::search::End;
use crate::local::setup::{self, Options, Prepared};

/// Probes a manifest and prints the estimate.
pub(super) fn estimate(arguments: HereArgs) -> Result<ExitCode, String> {
    let folder = tempfile::tempdir()
        .map_err(|error| format!("a directory for the probes cannot be made: {error}"))?;
    let mut options = arguments.options(folder.path().into(), None);
    let mut search = manifest::read(&options.manifest)
        .map_err(|error| error.to_string())?
        .search;
    let base = options.manifest.parent().unwrap_or(Path::new("."));
    // The probes' manifests are in another directory.
    let absolute = |path: &Option<String>| path.as_ref().map(|path| base.join(path));
    let overrides = &mut options.overrides;
    overrides.model = overrides
        .model
        .take()
        .or(absolute(&search.spec.model.source.path));
    overrides.data = overrides
        .data
        .take()
        .or(absolute(&search.spec.task.source.path));
    let spec = search.spec.clone();
    let progress = Progress::begin(Default::default());
    let runtime = runtime()?;
    let mut model = None;
    let mut ledgers: [Vec<LedgerEntry>; estimate::PROBES] = Default::default();
    let probes = estimate::probes(&spec).into_iter().enumerate();
    for ((number, probe), ledger) in probes.zip(&mut ledgers) {
        say(format!("probe {} of {}", number + 1, estimate::PROBES));
        search.spec = probe;
        let place = folder.path().join(number.to_string());
        std::fs::create_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let file = place.join("search.yaml");
        let text = serde_json::to_string(&search).map_err(|error| error.to_string())?;
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        let options = Options {
            manifest: file,
            workdir: place.join("work"),
            ..options.clone()
        };
        match runtime.block_on(run(options, progress.clone()))? {
            Probed::Ended(found, entries) => {
                model = Some(found);
                *ledger = entries;
            }
            Probed::Stopped(code) => return Ok(code),
        }
    }
    let model = model.ok_or("there was no probe")?;
    let found = estimate::estimate(&spec, &model, &ledgers).map_err(|error| error.to_string())?;
    print(report::estimate(&found))?;
    Ok(ExitCode::SUCCESS)
}

enum Probed {
    /// What the model and the trials were.
    Ended(Box<Inspection>, Vec<LedgerEntry>),
    /// It was stopped by a signal.
    Stopped(ExitCode),
}

/// Runs the search of a probe to its end.
async fn run(options: Options, progress: Progress) -> Result<Probed, String> {
    let prepared = setup::prepare(options, progress)
        .await
        .map_err(|error| error.to_string())?;
    let Prepared::Ready(mut search, _lock) = prepared else {
        return Err("the probe had ended before it began".into());
    };
    match search.run().await.map_err(|error| error.to_string())? {
        End::Stopped(signal) => Ok(Probed::Stopped(super::output::stopped(signal))),
        End::Concluded(_) | End::Suspended => {
            let model = Box::new(search.journal.header().inspection.clone());
            Ok(Probed::Ended(
                model,
                search.journal.ledger().entries().to_vec(),
            ))
        }
    }
}
