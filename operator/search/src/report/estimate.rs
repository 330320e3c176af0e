//! What a search will cost, as plain text.

use super::columns::{self, Align};
use super::text::{significant, thousands};
use crate::estimate::{Estimate, Part};

const COLUMNS: [Align; 5] = [
    Align::Left,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
];

pub(super) fn estimate(found: &Estimate) -> String {
    let head = [
        "",
        "trainings",
        "steps of each",
        "seconds of each",
        "seconds",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(found.parts.iter().map(row));
    let trainings = found.parts.iter().map(|part| part.trainings).sum();
    rows.push(vec![
        "all".into(),
        thousands(trainings),
        String::new(),
        String::new(),
        whole(found.total()),
    ]);
    let mut text = columns::aligned(&COLUMNS, &rows);
    text.push('\n');
    let total = found.total();
    let parallelism = f64::from(found.parallelism);
    text.push_str(&match found.parallelism {
        1 => format!("one after the other: {}\n", duration(total)),
        count => format!(
            "{count} at a time, if they do not slow one another: {}\n",
            duration(total / parallelism)
        ),
    });
    text.push_str(&match found.gpus {
        Some(gpus) => format!("GPU seconds: {}\n", whole(total * f64::from(gpus))),
        None => "GPU seconds: unknown, for the probes ran on the CPU; on a machine with a GPU they are measured\n".into(),
    });
    text.push_str(&format!(
        "measured: {} seconds of short trainings on this machine; early stopping and the time of suggestions are left out\n",
        whole(found.probed)
    ));
    text
}

fn row(part: &Part) -> Vec<String> {
    vec![
        part.what.clone(),
        thousands(part.trainings),
        thousands(part.steps),
        match part.seconds {
            short if short < 100.0 => significant(short),
            long => whole(long),
        },
        whole(part.total()),
    ]
}

fn whole(seconds: f64) -> String {
    // Estimates are positive and finite, and far below 2^53.
    thousands(seconds.ceil() as u64)
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 120.0 => format!("{short:.0} seconds"),
        medium if medium < 7200.0 => format!("{:.0} minutes", medium / 60.0),
        long => format!("{:.1} hours", long / 3600.0),
    }
}
