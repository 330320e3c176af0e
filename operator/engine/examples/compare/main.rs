//! Compares the search with random search on a synthetic task whose best front is known.
//!
//! `cargo run --release -p autopeft-engine --example compare -- --seeds 10 --out docs/figures/search-vs-random.svg`
//!
//! Writes the figure, a CSV beside it and a table to the terminal.

#![allow(clippy::print_stdout, reason = "the table is what the command is for")]

mod figure;
mod task;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use autopeft_engine::objectives::hypervolume::hypervolume;
use autopeft_engine::objectives::pareto::Point;
use autopeft_engine::{
    NutsSettings, Observation, Outcome, Problem, Settings, SuggestError, suggest,
};
use clap::Parser;

use crate::task::Task;

#[derive(Parser)]
struct Arguments {
    /// Repetitions of each search, with seeds from 0.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Trials of one search.
    #[arg(long, default_value_t = 100)]
    trials: usize,
    /// How many of them are the initial design.
    #[arg(long, default_value_t = 20)]
    initial: usize,
    /// Warm-up draws of the surrogate's sampler.
    #[arg(long, default_value_t = 128)]
    warmup: usize,
    /// Draws after that; one in 16 is kept.
    #[arg(long, default_value_t = 128)]
    samples: usize,
    /// Searches at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where the figure goes; the CSV goes beside it.
    #[arg(long)]
    out: PathBuf,
}

/// One search: the hypervolume of the noise-free scores after each trial.
pub(crate) struct Run {
    method: Method,
    seed: u64,
    trace: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Search,
    Random,
}

impl Method {
    fn label(self) -> &'static str {
        match self {
            Self::Search => "AutoPEFT search",
            Self::Random => "random search",
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let task = Task::new()?;
    let best = task.best_hypervolume();
    let next = AtomicU64::new(0);
    let runs = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= 2 * arguments.seeds {
                        break;
                    }
                    let method = [Method::Search, Method::Random][(job % 2) as usize];
                    let run = run(&task, method, job / 2, &arguments);
                    runs.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(run);
                }
            });
        }
    });
    let mut runs = runs
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .collect::<Result<Vec<Run>, SuggestError>>()?;
    runs.sort_by_key(|run| (run.method.label(), run.seed));

    print_table(&runs, best, &arguments);
    let mut csv = csv::Writer::from_path(arguments.out.with_extension("csv"))?;
    csv.write_record(["method", "seed", "trial", "hypervolume", "best_hypervolume"])?;
    for run in &runs {
        for (trial, value) in run.trace.iter().enumerate() {
            csv.write_record([
                run.method.label(),
                &run.seed.to_string(),
                &(trial + 1).to_string(),
                &format!("{value:.6}"),
                &format!("{best:.6}"),
            ])?;
        }
    }
    csv.flush()?;
    let caption = format!(
        "{} seeds, {} initial trials; NUTS {} + {}; median and quartiles",
        arguments.seeds, arguments.initial, arguments.warmup, arguments.samples
    );
    figure::draw(&arguments.out, &caption, &runs, best)?;
    Ok(())
}

fn run(task: &Task, method: Method, seed: u64, arguments: &Arguments) -> Result<Run, SuggestError> {
    let problem = Problem {
        space: task.space.clone(),
        settings: Settings {
            // Random search is an initial design that never ends.
            initial_trials: match method {
                Method::Search => arguments.initial,
                Method::Random => arguments.trials,
            },
            nuts: NutsSettings {
                warmup: arguments.warmup,
                samples: arguments.samples,
                ..NutsSettings::default()
            },
            ..Settings::default()
        },
        seed,
        max_parameters: None,
        min_score: None,
        reference: None,
    };
    let (mut observations, mut points, mut trace) = (Vec::new(), Vec::<Point>::new(), Vec::new());
    for trial in 0..arguments.trials {
        let configuration = suggest(&problem, &observations, &[])?.configuration;
        points.push(task.point(&configuration));
        trace.push(hypervolume(&points, task::REFERENCE));
        observations.push(Observation {
            outcome: Outcome::Scored {
                score: task.measure(&configuration, seed, trial),
                noise_variance: None,
            },
            configuration,
        });
    }
    Ok(Run {
        method,
        seed,
        trace,
    })
}

/// The first quartile, the median and the third quartile over the seeds of one method.
pub(crate) fn quartiles(runs: &[Run], method: Method, trial: usize) -> [f64; 3] {
    let mut values: Vec<f64> = runs
        .iter()
        .filter(|run| run.method == method)
        .map(|run| run.trace[trial])
        .collect();
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|share| {
        let position = share * (values.len() - 1) as f64;
        let (below, part) = (position.floor() as usize, position.fract());
        let above = (below + 1).min(values.len() - 1);
        values[below] + part * (values[above] - values[below])
    })
}

fn print_table(runs: &[Run], best: f64, arguments: &Arguments) {
    println!("hypervolume as a share of the best ({best:.4}): median [quartiles]");
    println!("{:>6}  {:<22}  {:<22}", "trial", "search", "random");
    let (step, trials) = ((arguments.trials / 10).max(1), arguments.trials);
    for trial in (step..=trials).step_by(step) {
        let cell = |method| {
            let [low, median, high] = quartiles(runs, method, trial - 1).map(|v| v / best);
            format!("{median:.3} [{low:.3}, {high:.3}]")
        };
        println!(
            "{trial:>6}  {:<22}  {:<22}",
            cell(Method::Search),
            cell(Method::Random)
        );
    }
}
