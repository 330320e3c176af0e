//! The command line of `peft-operator`. What a command finds goes to the standard output, what
//! happens on the way to the standard error.

mod check;
mod output;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use autopeft_search::ask;
use autopeft_search::patience::{Patience, SMALLEST_SCALE};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::controller;
use crate::local::progress::{LogFormat, Progress};

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

/// Carries out a command.
pub fn main(cli: Cli) -> ExitCode {
    let Cli { command } = cli;
    let done = match command {
        Command::Run(arguments) => run::run(arguments),
        Command::Controller(arguments) => control(arguments),
        Command::Replay { workdir } => check::replay(&workdir),
        Command::Validate { manifest } => check::validate(&manifest),
        Command::Crd => check::crd(),
    };
    done.unwrap_or_else(|message| {
        output::say(message);
        ExitCode::from(output::UNUSABLE)
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
    if autopeft_jobs::build::pod::is_tag(&trainer_image) {
        tracing::info!(
            "--trainer-image {trainer_image}: a tag may come to mean another image while a search runs; name it by digest (NAME@sha256:...)"
        );
    }
    let options = controller::process::Options {
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
    let ended = runtime.block_on(controller::process::run(options));
    // A suggestion that is being computed is computed again by whoever comes next.
    runtime.shutdown_background();
    ended
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| error.to_string())
}
