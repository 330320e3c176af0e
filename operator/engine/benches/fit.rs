//! The time of a fit with the paper's settings (256 warm-up, 128 samples, depth 6) and of one
//! evaluation of the density with its gradient, at 100 and 199 trials of 15 dimensions, on one
//! thread. `botorch_fit.py` makes the data and times BoTorch on it.

#![allow(
    missing_docs,
    reason = "criterion's macros make an undocumented function"
)]

use std::hint::black_box;

use autopeft_engine::NutsSettings;
use autopeft_engine::surrogate::fit::fit;
use autopeft_engine::surrogate::saas::Saas;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use faer::Mat;
use serde::Deserialize;

#[derive(Deserialize)]
struct Data {
    inputs: Vec<Vec<f64>>,
    values: Vec<f64>,
}

/// The first `n` observations, standardised.
fn observations(n: usize) -> (Mat<f64>, Vec<f64>) {
    let data: Data = serde_json::from_str(include_str!("data.json")).expect("the data parses");
    let values = &data.values[..n];
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    (
        Mat::from_fn(n, data.inputs[0].len(), |row, i| data.inputs[row][i]),
        values
            .iter()
            .map(|y| (y - mean) / variance.sqrt())
            .collect(),
    )
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gradient");
    for n in [100, 199] {
        let (inputs, values) = observations(n);
        let saas = Saas::new(inputs.as_ref(), &values, None);
        let (mut workspace, position) = (saas.workspace(), vec![-0.5; saas.parameters()]);
        let mut gradient = position.clone();
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter(|| saas.log_density(black_box(&position), &mut gradient, &mut workspace));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("fit");
    group.sample_size(10);
    for n in [100, 199] {
        let (inputs, values) = observations(n);
        let mut seed = 0;
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            // A new seed each time: the number of leapfrog steps differs from chain to chain.
            bencher.iter_batched(
                || {
                    seed += 1;
                    seed
                },
                |seed| {
                    fit(
                        inputs.as_ref(),
                        &values,
                        None,
                        &NutsSettings::default(),
                        seed,
                    )
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
