//! The command line of `peft-operator`. Results go to standard output, progress and errors to
//! standard error.

mod best;
mod check;
mod compare;
mod estimate;
mod output;
mod run;
mod searches;

use std::path::PathBuf;
use std::process::ExitCode;

use autopeft_crds::Decimal;
use autopeft_search::ask;
use autopeft_search::patience::{Patience, SMALLEST_SCALE};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::runtime::Runtime;

use crate::controller;
use crate::local::progress::{LogFormat, Progress};
use crate::local::setup::Options;
use crate::local::sources::Overrides;

/// Searches for parameter-efficient fine-tuning configurations.
#[derive(Debug, Parser)]
#[command(name = "peft-operator", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a search on this machine, or resume one.
    Run(RunArgs),
    /// Run the operator of a Kubernetes cluster.
    Controller(ControllerArgs),
    /// Recompute every suggestion of a search from its journal, and compare bit for bit.
    Replay {
        /// The search's work directory.
        workdir: PathBuf,
    },
    /// Print the configuration to take, with the commands that evaluate, export and train it.
    Best(BestArgs),
    /// Measure some short trainings on this machine, and print what a search will cost.
    Estimate(HereArgs),
    /// Show several searches side by side: fronts, Bayesian against random, spaces, layers, cost.
    Compare(CompareArgs),
    /// Check a manifest and print its errors.
    Validate {
        /// The manifest.
        manifest: PathBuf,
    },
    /// Print the CustomResourceDefinition of PeftSearch.
    Crd,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    here: HereArgs,
    /// The search's work directory; give the same one again to resume.
    #[arg(long)]
    workdir: PathBuf,
    /// The number of trials that run concurrently; overrides the manifest's parallelism.
    #[arg(long, value_name = "N")]
    parallelism: Option<u32>,
    /// The format of log lines.
    #[arg(long, value_enum, default_value_t)]
    log_format: Format,
}

/// A manifest on this machine.
#[derive(Debug, Args)]
struct HereArgs {
    /// The manifest: a YAML file with one PeftSearch.
    manifest: PathBuf,
    /// A model directory; overrides the manifest's.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A data directory; overrides the manifest's.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The directory of a claim; may be given several times.
    #[arg(long, value_name = "NAME=DIR", value_parser = claim)]
    claim: Vec<(String, PathBuf)>,
    /// The path of peft-trainer; by default, beside this program or on PATH.
    #[arg(long, value_name = "PATH")]
    trainer: Option<PathBuf>,
    /// The trainer's device.
    #[arg(long, value_enum, default_value_t)]
    device: Device,
}

#[derive(Debug, Args)]
struct BestArgs {
    /// The search's work directory, or its name in the cluster of the kubeconfig.
    #[arg(value_name = "DIR|NAME")]
    search: String,
    /// The most trainable parameters, in percent of the backbone's, such as 1%; by default each of the search's budgets.
    #[arg(long, value_name = "PERCENT", value_parser = best::budget)]
    budget: Option<Decimal>,
    /// The namespace of NAME; by default the kubeconfig's.
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

#[derive(Debug, Args)]
struct CompareArgs {
    /// The searches' work directories.
    #[arg(value_name = "DIR", required_unless_present = "kube")]
    workdirs: Vec<PathBuf>,
    /// Searches in the cluster of the kubeconfig, by name.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    kube: Vec<String>,
    /// The namespace of the names; by default the kubeconfig's.
    #[arg(long, value_name = "NAMESPACE", requires = "kube")]
    namespace: Option<String>,
    /// The budget under which searches and baselines are compared: trainable parameters in percent of the backbone's.
    #[arg(long, value_name = "PERCENT", value_parser = best::budget, default_value = "1%")]
    budget: Decimal,
    /// The page to write.
    #[arg(long, value_name = "FILE", default_value = "compare.html")]
    out: PathBuf,
    /// Also write every trial of every search as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// The flags of the controller. Each has an environment variable, which the chart sets.
#[derive(Debug, Args)]
struct ControllerArgs {
    /// The namespace to watch; by default all of them.
    #[arg(long, env = "AUTOPEFT_NAMESPACE")]
    namespace: Option<String>,
    /// The namespace of the Lease for leader election.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    lease_namespace: String,
    /// The Lease's name.
    #[arg(long, env = "AUTOPEFT_LEASE", default_value = "autopeft-operator")]
    lease_name: String,
    /// This replica's identity in the Lease; the chart sets the pod's name.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// The address to serve /metrics, /healthz and /readyz at.
    #[arg(long, env = "AUTOPEFT_ADDRESS", default_value = "0.0.0.0:8080")]
    address: std::net::SocketAddr,
    /// The trainer's image for searches without spec.trainer.image.
    #[arg(long, env = "AUTOPEFT_TRAINER_IMAGE")]
    trainer_image: String,
    /// The number of suggestions computed concurrently.
    #[arg(long, env = "AUTOPEFT_ENGINE_THREADS", default_value_t = 1)]
    engine_threads: usize,
    /// Scales all timeouts and pauses: for tests, whose clusters are small and local.
    #[arg(
        long,
        env = "AUTOPEFT_PATIENCE_SCALE",
        hide = true,
        default_value_t = 1.0,
        value_parser = patience_scale
    )]
    patience_scale: f64,
    /// The format of log lines.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Device {
    /// A GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
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

impl HereArgs {
    /// The options of a search in a work directory.
    fn options(self, workdir: PathBuf, parallelism: Option<u32>) -> Options {
        let Self {
            manifest,
            model,
            data,
            claim,
            trainer,
            device,
        } = self;
        Options {
            manifest,
            workdir,
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
        }
    }
}

/// The runtime of a search on this machine.
fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("threads cannot be started: {error}"))
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
        Command::Estimate(arguments) => estimate::estimate(arguments),
        Command::Best(arguments) => best::best(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
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
            "--trainer-image {trainer_image}: a tag can be moved to another image while a search runs; use a digest (NAME@sha256:...)"
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
    // The next leader computes an unfinished suggestion again.
    runtime.shutdown_background();
    ended
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| error.to_string())
}
