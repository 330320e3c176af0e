//! In what searches of one task differ: how configurations are chosen, the space, and the other settings.

use std::collections::{BTreeMap, BTreeSet};

use autopeft_crds::modules::MODULES;
use autopeft_crds::space::LayerChoice;
use autopeft_crds::spec::{AlgorithmSpec, InitialDesign, TrainingSpec};
use autopeft_crds::{PeftSearchSpec, SearchSpace};
use serde::Serialize;
use serde_json::Value;

/// Settings by their path in the manifest.
pub(super) type Settings = BTreeMap<String, String>;

/// How a search chooses configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// By Bayesian optimisation, after an initial design.
    Bayesian,
    /// At random: the initial design is all of it.
    Random,
    /// A Sobol sequence: the initial design is all of it.
    Sobol,
}

impl Strategy {
    /// A manifest asks for a search without a surrogate by as many initial trials as trials.
    pub(super) fn of(spec: &PeftSearchSpec) -> Self {
        match spec.algorithm.initial_design {
            _ if spec.algorithm.initial_trials < spec.max_trials => Self::Bayesian,
            InitialDesign::Random => Self::Random,
            InitialDesign::Sobol => Self::Sobol,
        }
    }

    /// In a legend.
    pub fn title(self) -> &'static str {
        match self {
            Self::Bayesian => "Bayesian",
            Self::Random => "random",
            Self::Sobol => "Sobol sequence",
        }
    }
}

/// What a search shares with others of its kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Traits {
    pub strategy: Strategy,
    /// The space by its dimensions and options.
    pub space: Settings,
    /// What is searched, in a few words.
    pub space_name: String,
    /// How trials are trained and what is aimed at.
    pub training: Settings,
    /// How the Bayesian search works; nothing for the others.
    pub algorithm: Settings,
}

impl Traits {
    pub(super) fn of(spec: &PeftSearchSpec, space: &SearchSpace) -> Self {
        let strategy = Strategy::of(spec);
        // Destructured, so that each new field is judged: does a trial's score, or what is tried, depend on it?
        let PeftSearchSpec {
            model: _,
            task: _,
            search_space,
            objectives,
            algorithm,
            max_trials: _,
            parallelism: _,
            max_failed_trials: _,
            max_retries: _,
            retry_trials: _,
            active_deadline_seconds: _,
            trial_deadline_seconds: _,
            max_gpu_seconds: _,
            convergence: _,
            suspend: _,
            fidelity,
            training,
            baselines: _,
            baseline_recipe: _,
            promotion: _,
            transfer: _,
            trainer: _,
            ttl_seconds_after_finished: _,
        } = spec;
        let mut of_training = Settings::new();
        for objective in objectives {
            let name = word(&objective.name);
            flatten(&format!("objectives.{name}"), objective, &mut of_training);
            of_training.remove(&format!("objectives.{name}.name"));
        }
        flatten("fidelity", fidelity, &mut of_training);
        flatten_training(training, &mut of_training);
        let mut of_algorithm = Settings::new();
        if strategy == Strategy::Bayesian {
            let unseeded = AlgorithmSpec {
                seed: 0,
                ..algorithm.clone()
            };
            flatten("algorithm", &unseeded, &mut of_algorithm);
        }
        let mut of_space = dimensions(space);
        flatten("options", &search_space.options, &mut of_space);
        Self {
            strategy,
            space_name: space_name(space),
            space: of_space,
            training: of_training,
            algorithm: of_algorithm,
        }
    }
}

/// How a search trains in full.
pub(super) fn in_full(spec: &PeftSearchSpec) -> Settings {
    let mut found = Settings::new();
    if let Some(promotion) = &spec.promotion {
        flatten("promotion.epochs", &promotion.epochs, &mut found);
        let rate = &promotion.learning_rate;
        flatten("promotion.learningRate", rate, &mut found);
        flatten("promotion.patience", &promotion.patience, &mut found);
    }
    flatten_training(&spec.training, &mut found);
    found
}

/// The recipe without its seed: searches that differ in seeds alone are of one kind.
fn flatten_training(training: &TrainingSpec, into: &mut Settings) {
    let unseeded = TrainingSpec {
        seed: 0,
        ..training.clone()
    };
    flatten("training", &unseeded, into);
}

/// The dimensions with their values.
fn dimensions(space: &SearchSpace) -> Settings {
    let layers = space.layers.iter().map(|layer| match layer {
        LayerChoice::Free => '*',
        LayerChoice::On => '1',
        LayerChoice::Off => '0',
    });
    let mut found = Settings::from([("layers".to_owned(), layers.collect())]);
    for facts in MODULES {
        let sizes = space.sizes(facts.module);
        if sizes != [0] {
            let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
            found.insert(facts.symbol.to_owned(), sizes.join("/"));
        }
    }
    if space.exclude_empty {
        found.insert("excludeEmpty".into(), "true".into());
    }
    found
}

/// What is searched: `SA + PA + prefix + layers`. A module of one size stands with it.
fn space_name(space: &SearchSpace) -> String {
    let modules = MODULES
        .iter()
        .filter_map(|facts| match space.sizes(facts.module) {
            [0] => None,
            [only] => Some(format!("{} {only}", facts.symbol)),
            _ => Some(facts.symbol.to_owned()),
        });
    let layers = space.layers.contains(&LayerChoice::Free);
    modules
        .chain(layers.then(|| "layers".to_owned()))
        .collect::<Vec<_>>()
        .join(" + ")
}

/// The leaves of a value by their paths. Lists are leaves.
fn flatten(path: &str, value: &impl Serialize, into: &mut Settings) {
    // A spec was read from JSON or YAML, so it can be written.
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    leaves(path, &value, into);
}

fn leaves(path: &str, value: &Value, into: &mut Settings) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, field) in fields {
                leaves(&format!("{path}.{name}"), field, into);
            }
        }
        Value::String(text) => {
            into.insert(path.into(), text.clone());
        }
        other => {
            into.insert(path.into(), other.to_string());
        }
    }
}

fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The paths whose values differ among these.
pub(super) fn differing<'a>(all: impl IntoIterator<Item = &'a Settings>) -> BTreeSet<&'a str> {
    let all: Vec<&Settings> = all.into_iter().collect();
    let paths = all.iter().flat_map(|settings| settings.keys());
    let differs = |path: &&String| {
        let mut values = all.iter().map(|settings| settings.get(*path));
        let first = values.next().flatten();
        values.any(|value| value != first)
    };
    paths.filter(differs).map(String::as_str).collect()
}

/// Settings in words, those of the paths alone: `fidelity.epochs 3, training.learningRate 0.001`.
pub(super) fn shown(settings: &Settings, paths: &BTreeSet<&str>) -> String {
    let shown = paths.iter().map(|path| match settings.get(*path) {
        Some(value) => format!("{path} {value}"),
        None => format!("no {path}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The labels of different kinds: what they differ in. Kinds that differ in nothing are called by how they choose. How
/// the Bayesian search works is named only where nothing else tells two kinds apart.
pub(super) fn labels(kinds: &[&Traits]) -> Vec<String> {
    let spaces = space_names(kinds);
    let differs = |mut values: std::slice::Iter<'_, String>| {
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let spaces_differ = differs(spaces.iter());
    let strategies_differ = kinds.iter().any(|kind| kind.strategy != kinds[0].strategy);
    let training = differing(kinds.iter().map(|kind| &kind.training));
    let plain = |(kind, space): (&&Traits, &String)| {
        let mut parts = Vec::new();
        if strategies_differ || (!spaces_differ && training.is_empty()) {
            parts.push(kind.strategy.title().to_owned());
        }
        if spaces_differ {
            parts.push(space.clone());
        }
        if !training.is_empty() {
            parts.push(shown(&kind.training, &training));
        }
        parts.join(", ")
    };
    let labels: Vec<String> = kinds.iter().zip(&spaces).map(plain).collect();
    let told_apart = |(kind, label): (&&Traits, &String)| {
        let namesakes = kinds
            .iter()
            .zip(&labels)
            .filter(|(_, other)| *other == label);
        let algorithm = differing(namesakes.map(|(other, _)| &other.algorithm));
        match algorithm.is_empty() {
            true => label.clone(),
            false => format!("{label}, {}", shown(&kind.algorithm, &algorithm)),
        }
    };
    kinds.iter().zip(&labels).map(told_apart).collect()
}

/// The names of the spaces. Different spaces in which the same is searched are told apart by their values.
pub(super) fn space_names(kinds: &[&Traits]) -> Vec<String> {
    let of_kind = |kind: &&Traits| {
        let namesakes = kinds
            .iter()
            .filter(|other| other.space_name == kind.space_name);
        let paths = differing(namesakes.map(|other| &other.space));
        if paths.is_empty() {
            kind.space_name.clone()
        } else {
            format!("{} ({})", kind.space_name, shown(&kind.space, &paths))
        }
    };
    kinds.iter().map(of_kind).collect()
}
