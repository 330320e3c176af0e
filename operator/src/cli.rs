//! The command line of `peft-operator`. What a command finds goes to the standard output, what
//! happens on the way to the standard error.
#![allow(
    clippy::print_stdout,
    reason = "the result of a command is what it prints"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autopeft_crds::validate::advice_for_a_cluster;
use autopeft_crds::{PeftSearchSpec, PeftSearchStatus};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::local::journal;
use crate::local::progress::{LogFormat, Progress};
use crate::local::search::{End, Search};
use crate::local::setup::{self, Ended, Options, Prepared};
use crate::local::sources::Overrides;
use autopeft_search::ledger::ConclusionReason;
use autopeft_search::patience::{Patience, SMALLEST_SCALE};
use autopeft_search::{ask, replay, report};

use crate::controller;
use crate::local::manifest;

/// Searches for parameter-efficient fine-tuning configurations.
#[derive(Debug, Parser)]
#[command(name = "peft-operator", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry out a search on this machine, or go on with one.
    Run(RunArgs),
    /// Carry out the searches of a Kubernetes cluster.
    Controller(ControllerArgs),
    /// Recompute every suggestion of a search from its journal, and compare bit for bit.
    Replay {
        /// The search's work directory.
        workdir: PathBuf,
    },
    /// Check a manifest; print what is wrong with it.
    Validate {
        /// The manifest.
        manifest: PathBuf,
    },
    /// Print the CustomResourceDefinition of PeftSearch.
    Crd,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The manifest: a YAML file with one PeftSearch.
    manifest: PathBuf,
    /// Where the search keeps its files; give the same directory again to go on.
    #[arg(long)]
    workdir: PathBuf,
    /// A model directory that takes the place of the manifest's.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A data directory that takes the place of the manifest's.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The directory that stands for a claim; may be given several times.
    #[arg(long, value_name = "NAME=DIR", value_parser = claim)]
    claim: Vec<(String, PathBuf)>,
    /// How many trials run at the same time, in place of the manifest's parallelism.
    #[arg(long, value_name = "N")]
    parallelism: Option<u32>,
    /// The program peft-trainer; by default the one beside this program, or on PATH.
    #[arg(long, value_name = "PATH")]
    trainer: Option<PathBuf>,
    /// What the trainer computes on.
    #[arg(long, value_enum, default_value_t)]
    device: Device,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t)]
    log_format: Format,
}

/// Where the controller runs and what it looks after. Each flag has an environment variable, which the
/// chart sets.
#[derive(Debug, Args)]
struct ControllerArgs {
    /// The one namespace whose searches are carried out; every namespace where it is left out.
    #[arg(long, env = "AUTOPEFT_NAMESPACE")]
    namespace: Option<String>,
    /// The namespace of the Lease by which replicas agree on a leader.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    lease_namespace: String,
    /// The Lease's name.
    #[arg(long, env = "AUTOPEFT_LEASE", default_value = "autopeft-operator")]
    lease_name: String,
    /// Who this process is among its replicas; the pod's name in the chart.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "AUTOPEFT_ADDRESS", default_value = "0.0.0.0:8080")]
    address: std::net::SocketAddr,
    /// The trainer's image for searches that name none.
    #[arg(long, env = "AUTOPEFT_TRAINER_IMAGE")]
    trainer_image: String,
    /// Suggestions that are computed at the same time.
    #[arg(long, env = "AUTOPEFT_ENGINE_THREADS", default_value_t = 1)]
    engine_threads: usize,
    /// The factor by which everything is waited for: for tests, whose clusters are small and near.
    #[arg(
        long,
        env = "AUTOPEFT_PATIENCE_SCALE",
        hide = true,
        default_value_t = 1.0,
        value_parser = patience_scale
    )]
    patience_scale: f64,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Device {
    /// A GPU where there is one.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A GPU.
    Cuda,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

fn claim(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, directory)) if !name.is_empty() && !directory.is_empty() => {
            Ok((name.into(), directory.into()))
        }
        _ => Err("write NAME=DIR, such as --claim models=/mnt/models".into()),
    }
}

fn patience_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (SMALLEST_SCALE..=1.0).contains(&factor) => Ok(factor),
        _ => Err(format!("give a number from {SMALLEST_SCALE} to 1")),
    }
}

/// Exit codes: 0 well, 1 the search failed or the replay differs, 2 the command cannot be carried
/// out, 128 + n stopped by signal n.
const FAILED: u8 = 1;
const UNUSABLE: u8 = 2;

/// Carries out a command.
pub fn main(cli: Cli) -> ExitCode {
    let Cli { command } = cli;
    let done = match command {
        Command::Run(arguments) => run(arguments),
        Command::Controller(arguments) => control(arguments),
        Command::Replay { workdir } => replay(&workdir),
        Command::Validate { manifest } => validate(&manifest),
        Command::Crd => match crate::crd_yaml() {
            Ok(yaml) => {
                print!("{yaml}");
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => Err(error.to_string()),
        },
    };
    done.unwrap_or_else(|message| {
        for line in message.lines() {
            eprintln!("peft-operator: {line}");
        }
        ExitCode::from(UNUSABLE)
    })
}

fn control(arguments: ControllerArgs) -> Result<ExitCode, String> {
    let ControllerArgs {
        namespace,
        lease_namespace,
        lease_name,
        identity,
        address,
        trainer_image,
        engine_threads,
        patience_scale,
        log_format,
    } = arguments;
    let _lines = Progress::begin(log_format.into());
    if controller::build::pod::is_tag(&trainer_image) {
        tracing::info!(
            "--trainer-image {trainer_image}: a tag may come to mean another image while a search runs; name it by digest (NAME@sha256:...)"
        );
    }
    let options = controller::Options {
        namespace,
        lease_namespace,
        lease_name,
        identity: identity.unwrap_or_else(|| format!("peft-operator-{}", std::process::id())),
        address,
        trainer_image,
        engine_threads,
        ask: ask::ask,
        patience: Patience::default().scaled(patience_scale),
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let ended = runtime.block_on(controller::run(options));
    // A suggestion that is being computed is computed again by whoever comes next.
    runtime.shutdown_background();
    ended
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| error.to_string())
}

fn run(arguments: RunArgs) -> Result<ExitCode, String> {
    let RunArgs {
        manifest,
        workdir,
        model,
        data,
        claim,
        parallelism,
        trainer,
        device,
        log_format,
    } = arguments;
    let progress = Progress::begin(log_format.into());
    let options = Options {
        manifest,
        workdir: workdir.clone(),
        overrides: Overrides {
            model,
            data,
            claims: claim,
        },
        parallelism,
        trainer,
        device: match device {
            Device::Auto => "auto",
            Device::Cpu => "cpu",
            Device::Cuda => "cuda",
        }
        .into(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("threads cannot be started: {error}"))?;
    let code = runtime.block_on(async {
        let prepared = setup::prepare(options, progress)
            .await
            .map_err(|error| error.to_string())?;
        match prepared {
            Prepared::Over(ended) => Ok(say_over(&ended, &workdir)),
            Prepared::Ready(mut search, _lock) => {
                let end = search.carry_on().await.map_err(|error| error.to_string())?;
                let found = search.status();
                search.write_reports().map_err(|error| error.to_string())?;
                Ok(say_end(&end, &search, &found))
            }
        }
    });
    // A fit that is under way on a blocking thread is not waited for.
    runtime.shutdown_background();
    code
}

fn say_end(end: &End, search: &Search, found: &PeftSearchStatus) -> ExitCode {
    match end {
        End::Concluded(conclusion) => {
            print!("{}", report::front_table(search.spec(), found));
            println!("\nfiles: {}", search.workdir.display());
            if conclusion.succeeded {
                println!("the search has ended: {}", conclusion.message);
                return ExitCode::SUCCESS;
            }
            eprintln!(
                "peft-operator: the search has failed: {}",
                conclusion.message
            );
            if let Some(log) = search.last_failure() {
                eprintln!("peft-operator: its log: {}", log.display());
            }
            if conclusion.reason == ConclusionReason::BadInput {
                eprintln!(
                    "peft-operator: mend the model or the data and give the same command again: the search goes on"
                );
            }
            ExitCode::from(FAILED)
        }
        End::Suspended => {
            println!(
                "the search is suspended ({} trials have ended); set spec.suspend to false and give the same command to go on",
                found.trials.progress
            );
            ExitCode::SUCCESS
        }
        End::Stopped(signal) => {
            eprintln!(
                "peft-operator: stopped; {} trials have ended and are kept; give the same command to go on",
                found.trials.progress
            );
            ExitCode::from(u8::try_from(128 + signal).unwrap_or(FAILED))
        }
    }
}

/// A search that had ended before: says so, and how to go on.
fn say_over(ended: &Ended, workdir: &Path) -> ExitCode {
    let Ended {
        spec,
        status,
        conclusion,
        repaired,
    } = ended;
    print!("{}", report::front_table(spec, status));
    let done = if repaired.is_empty() {
        "nothing was changed".to_owned()
    } else {
        format!("only these files were made again ({})", repaired.join(", "))
    };
    println!(
        "\nthis search has ended before, and {done}: {}\nfiles: {}\n{}, or give another --workdir to begin again",
        conclusion.message,
        workdir.display(),
        remedy(conclusion.reason, spec)
    );
    if conclusion.succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

/// What would make a search go on that has ended for this reason.
fn remedy(reason: ConclusionReason, spec: &PeftSearchSpec) -> String {
    match reason {
        ConclusionReason::MaxTrialsReached => format!(
            "raise spec.maxTrials, now {}, to go on with it",
            spec.max_trials
        ),
        ConclusionReason::Converged => {
            let trials = spec.convergence.as_ref().map_or(0, |found| found.trials);
            format!(
                "raise spec.convergence.trials, now {trials}, or take spec.convergence out, to go on with it"
            )
        }
        ConclusionReason::SpaceExhausted => {
            "the space holds nothing more; widen spec.searchSpace or the bound in spec.objectives"
                .to_owned()
        }
        ConclusionReason::DeadlineExceeded => format!(
            "raise spec.activeDeadlineSeconds, now {} since the search began, to go on with it",
            spec.active_deadline_seconds.unwrap_or(0)
        ),
        ConclusionReason::MaxGpuSecondsReached => format!(
            "raise spec.maxGpuSeconds, now {}, to go on with it",
            spec.max_gpu_seconds.unwrap_or(0)
        ),
        ConclusionReason::StatusFull => {
            "go on with a search of its own for what is left to try".to_owned()
        }
        ConclusionReason::TooManyFailedTrials => format!(
            "look at why trials fail, then raise spec.maxFailedTrials, now {}, to go on with it",
            spec.max_failed_trials
        ),
        ConclusionReason::NoTrialSucceeded => format!(
            "look at why trials fail, then raise spec.maxTrials, now {}, to go on with it",
            spec.max_trials
        ),
        ConclusionReason::BadInput => "mend the model or the data to go on with it".to_owned(),
    }
}

fn replay(workdir: &Path) -> Result<ExitCode, String> {
    let history = journal::read(workdir)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| journal::JournalError::Missing(workdir.into()).to_string())?;
    let mut counts = replay::Counts::default();
    for step in replay::replay(&history) {
        let step = step.map_err(|error| error.to_string())?;
        counts.add(&step);
        println!("{step}");
    }
    println!("{counts}");
    Ok(if counts.different == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn validate(path: &Path) -> Result<ExitCode, String> {
    let manifest = manifest::read(path).map_err(|error| error.to_string())?;
    let search = &manifest.search;
    for (line, warning) in manifest.advice(&advice_for_a_cluster(&search.spec)) {
        eprintln!(
            "peft-operator: warning: {}{line}: {warning}",
            path.display()
        );
    }
    let name = search.metadata.name.as_deref().unwrap_or_default();
    println!("{}: the PeftSearch {name} is valid", path.display());
    Ok(ExitCode::SUCCESS)
}
