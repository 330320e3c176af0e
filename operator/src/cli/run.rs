//! `peft-operator run`: a search on this machine, and its summary at the end.

use std::path::Path;
use std::process::ExitCode;

use autopeft_crds::PeftSearchStatus;
use autopeft_search::ledger::ConclusionReason;
use autopeft_search::{log, report};

use super::output::{FAILED, print, say, stopped};
use super::{RunArgs, runtime};
use crate::local::progress::Progress;
use crate::local::search::{End, Search};
use crate::local::setup::{self, Ended, Prepared};

/// Runs or resumes a search.
pub(super) fn run(arguments: RunArgs) -> Result<ExitCode, String> {
    let RunArgs {
        here,
        workdir,
        parallelism,
        log_format,
    } = arguments;
    let progress = Progress::begin(log_format.into());
    let options = here.options(workdir.clone(), parallelism);
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let prepared = setup::prepare(options, progress)
            .await
            .map_err(|error| error.to_string())?;
        match prepared {
            Prepared::Ended(ended) => report_ended(&ended, &workdir),
            Prepared::Ready(mut search, _lock) => {
                let end = search.run().await.map_err(|error| error.to_string())?;
                let found = search.status();
                search.write_reports().map_err(|error| error.to_string())?;
                report_end(&end, &search, &found)
            }
        }
    });
    // A fit in progress on a blocking thread is abandoned.
    runtime.shutdown_background();
    code
}

fn report_end(end: &End, search: &Search, found: &PeftSearchStatus) -> Result<ExitCode, String> {
    let ended = found.trials.progress.as_str();
    match end {
        End::Concluded(conclusion) => {
            let table = report::front_table(search.spec(), found);
            let files = search.workdir.display();
            if conclusion.succeeded {
                print(format!(
                    "{table}\nfiles: {files}\nthe search has ended: {}\n{}",
                    conclusion.message,
                    log::remedy(conclusion.reason, search.spec())
                ))?;
                return Ok(ExitCode::SUCCESS);
            }
            let printed = print(format!("{table}\nfiles: {files}"));
            say(format!("the search has failed: {}", conclusion.message));
            if let Some(log) = search.last_failure() {
                say(format!(
                    "the log of the last failed trial: {}",
                    log.display()
                ));
            }
            if conclusion.reason == ConclusionReason::BadInput {
                say(
                    "fix the model or the data, then run the same command again: the search resumes",
                );
            }
            printed.map(|_| ExitCode::from(FAILED))
        }
        End::Suspended => {
            print(format!(
                "the search is suspended ({ended} trials have ended); set spec.suspend to false and run the same command to resume"
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        End::Stopped(signal) => {
            say(format!(
                "stopped; {ended} trials have ended and are kept; run the same command to resume"
            ));
            Ok(stopped(*signal))
        }
    }
}

/// Reports a search that had ended before, and how to continue it.
fn report_ended(ended: &Ended, workdir: &Path) -> Result<ExitCode, String> {
    let Ended {
        spec,
        status,
        conclusion,
        repaired,
    } = ended;
    let done = if repaired.is_empty() {
        "nothing was changed".to_owned()
    } else {
        format!(
            "only these files were regenerated ({})",
            repaired.join(", ")
        )
    };
    print(format!(
        "{}\nthe search had already ended, and {done}: {}\nfiles: {}\n{}, or give another --workdir to start again",
        report::front_table(spec, status),
        conclusion.message,
        workdir.display(),
        log::remedy(conclusion.reason, spec)
    ))?;
    Ok(if conclusion.succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}
