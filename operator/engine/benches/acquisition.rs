//! The time to set up the acquisition and of one evaluation of it, at 100 and 199 trials of 15
//! dimensions, with 8 hyperparameter samples and 128 draws of the front, on one thread.

#![allow(
    missing_docs,
    reason = "criterion's macros make an undocumented function"
)]

use std::hint::black_box;

use autopeft_engine::acquisition::nehvi::Nehvi;
use autopeft_engine::acquisition::{Acquisition, InSamplePoint, Inputs};
use autopeft_engine::objectives::pareto::Point;
use autopeft_engine::surrogate::gp::{Gp, Hyperparameters};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use faer::Mat;
use serde::Deserialize;

#[derive(Deserialize)]
struct Data {
    inputs: Vec<Vec<f64>>,
    values: Vec<f64>,
}

fn bench(criterion: &mut Criterion) {
    let data: Data = serde_json::from_str(include_str!("data.json")).expect("the data parses");
    let d = data.inputs[0].len();
    // The bits and the sizes on the scale of a cost: about 3 to 7.
    let cost = |input: &[f64]| 3.0 + 4.0 * input.iter().sum::<f64>() / d as f64;
    let reference = Point {
        score: -1.5,
        cost: 7.0,
    };
    for n in [100, 199] {
        let inputs = Mat::from_fn(n, d, |row, i| data.inputs[row][i]);
        let models: Vec<Gp> = (0..8)
            .map(|model| {
                let hyperparameters = Hyperparameters {
                    mean: 0.0,
                    outputscale: 1.0,
                    noise: 0.05 + 0.02 * f64::from(model),
                    inverse_squared_lengthscales: (0..d).map(|i| 1.0 / (i + 1) as f64).collect(),
                };
                Gp::new(hyperparameters, inputs.as_ref(), &data.values[..n], None)
                    .expect("a process")
            })
            .collect();
        let in_sample: Vec<InSamplePoint> = data.inputs[..n]
            .iter()
            .map(|input| InSamplePoint {
                input: input.clone(),
                cost: cost(input),
            })
            .collect();
        let set_up = || {
            Nehvi::new(Inputs {
                models: models.clone(),
                in_sample: &in_sample,
                reference,
                draws: 128,
                seed: 0,
            })
            .expect("an acquisition")
        };
        let mut group = criterion.benchmark_group("nehvi");
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("set-up", n), |bencher| {
            bencher.iter(set_up)
        });
        let nehvi = set_up();
        let candidate: Vec<f64> = data.inputs[0].iter().map(|x| 1.0 - x).collect();
        group.bench_function(BenchmarkId::new("evaluation", n), |bencher| {
            bencher.iter(|| nehvi.value(black_box(&candidate), 3.0));
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
