//! The searches of one task, metric, model and data: the only ones that share an axis.

use autopeft_crds::metrics::Metric;
use autopeft_crds::spec::Source;
use autopeft_crds::trial::Inspection;
use autopeft_engine::objectives::hypervolume::hypervolume;
use autopeft_engine::objectives::pareto::{Point, log_cost};
use autopeft_engine::objectives::reference::infer;

use super::groups::{Ablation, Race, ablations, kinds, races};
use super::kinds::Kind;
use super::run::{Run, Subject};
use super::settings::Traits;
use super::tables::{self, Method, MethodGroup};

/// The searches that can be compared with one another.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Task, metric and model in a few words.
    pub title: String,
    /// The task.
    pub task: String,
    /// The metric that is the score.
    pub metric: Metric,
    /// The model.
    pub model: String,
    /// Its Transformer layers.
    pub layers: u32,
    /// Its parameters: what percentages are of.
    pub backbone: u64,
    /// The reference point of every hypervolume of the section.
    pub reference: Reference,
    /// The kinds of searches.
    pub kinds: Vec<Kind>,
    /// Kinds that differ in how they choose configurations alone.
    pub races: Vec<Race>,
    /// Kinds that differ in the space alone.
    pub ablations: Vec<Ablation>,
    /// The baselines at the fidelity of the searches.
    pub baselines: Vec<MethodGroup>,
    /// The baselines that were trained in full.
    pub in_full: Vec<MethodGroup>,
    /// The best of each kind within the budget, beside the baselines that choose layers; empty without such a baseline.
    pub layer_selection: Vec<Method>,
}

/// The reference point of a section.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// Its score.
    pub score: f64,
    /// Its trainable parameters in percent of the backbone's.
    pub percent: f64,
    /// Whether every search gives it; else it is inferred from all trials of the section.
    pub is_given: bool,
}

/// What searches that share an axis have in common.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    task: String,
    metric: Metric,
    model: String,
    data: String,
}

impl Key {
    fn of(subject: &Subject<'_>) -> Self {
        let task = &subject.spec.task;
        let custom = serde_json::to_string(&(&task.custom, &task.form)).unwrap_or_default();
        let data = || serde_json::to_string(&task.source).unwrap_or_default();
        Self {
            task: format!("{} {custom}", task.name.as_str()),
            metric: task.score_metric(),
            model: model_key(subject.model),
            data: subject.model.data_fingerprint.clone().unwrap_or_else(data),
        }
    }
}

/// What tells a model from others.
pub(super) fn model_key(model: &Inspection) -> String {
    let shape = || {
        format!(
            "{} {} {} {}",
            model.architecture, model.layers, model.hidden_size, model.backbone_parameters
        )
    };
    // 0.1.0 had no fingerprints in every inspection.
    model.model_fingerprint.clone().unwrap_or_else(shape)
}

/// The place of a search among those that were given, the search, and its name.
type Member<'a> = (usize, &'a Subject<'a>, &'a String);

/// The sections, in the order of the searches.
pub(super) fn sections(subjects: &[Subject<'_>], labels: &[String], budget: f64) -> Vec<Section> {
    let mut groups: Vec<(Key, Vec<usize>)> = Vec::new();
    for (place, subject) in subjects.iter().enumerate() {
        let key = Key::of(subject);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(place),
            None => groups.push((key, vec![place])),
        }
    }
    let mut sections: Vec<Section> = groups
        .iter()
        .map(|(_, members)| {
            let of_group: Vec<Member<'_>> = members
                .iter()
                .map(|at| (*at, &subjects[*at], &labels[*at]))
                .collect();
            section(&of_group, budget)
        })
        .collect();
    tell_apart(&mut sections);
    sections
}

/// Equal titles get the names of their searches.
fn tell_apart(sections: &mut [Section]) {
    let titles: Vec<String> = sections
        .iter()
        .map(|section| section.title.clone())
        .collect();
    for section in sections {
        let is_equal = |title: &&String| **title == section.title;
        if titles.iter().filter(is_equal).count() > 1 {
            section.title = format!("{}: {}", section.title, section.runs_named());
        }
    }
}

fn section(members: &[Member<'_>], budget: f64) -> Section {
    let (_, first, _) = members[0];
    let mut runs: Vec<Run> = members
        .iter()
        .map(|(place, subject, label)| subject.run(*place, (*label).clone(), budget))
        .collect();
    let reference = reference(members, &runs);
    let corner = Point {
        score: reference.score,
        cost: log_cost(reference.percent / 100.0 * first.model.backbone_parameters as f64),
    };
    for run in &mut runs {
        measure(run, corner);
    }
    let traits: Vec<Traits> = members
        .iter()
        .map(|(_, subject, _)| Traits::of(subject.spec, &subject.space))
        .collect();
    let (kinds, of_kinds) = kinds(runs, &traits);
    let backbone = first.model.backbone_parameters;
    let methods = tables::methods(&kinds, &of_kinds);
    let (task, model) = (task_name(first), source_name(&first.spec.model.source));
    let metric = first.spec.task.score_metric();
    Section {
        title: format!("{task}, {}, {model}", metric.label()),
        task,
        metric,
        model,
        layers: first.model.layers,
        backbone,
        reference,
        races: races(&kinds, &of_kinds),
        ablations: ablations(&kinds, &of_kinds),
        layer_selection: tables::layer_selection(&kinds, &methods, budget),
        baselines: methods
            .iter()
            .filter(|group| !group.in_full)
            .cloned()
            .collect(),
        in_full: methods.into_iter().filter(|group| group.in_full).collect(),
        kinds,
    }
}

impl Section {
    /// The searches of the section by name.
    pub fn runs_named(&self) -> String {
        let runs = self.kinds.iter().flat_map(|kind| &kind.runs);
        let names: Vec<&str> = runs.map(|run| run.label.as_str()).collect();
        names.join(", ")
    }
}

/// A known task by its name, one of the user's by the last part of its source.
pub(super) fn task_name(subject: &Subject<'_>) -> String {
    let task = &subject.spec.task;
    match task.name.facts() {
        Some(facts) => facts.name.to_owned(),
        None => source_name(&task.source),
    }
}

/// The last part of where something comes from.
pub(super) fn source_name(source: &Source) -> String {
    let path = source.path.as_deref();
    let claim = source
        .claim
        .as_ref()
        .map(|claim| match claim.path.as_str() {
            "" => claim.name.as_str(),
            path => path,
        });
    let image = source
        .image
        .as_ref()
        .map(|image| match image.path.as_str() {
            "" => image.reference.as_str(),
            path => path,
        });
    let hub = source.hub.as_ref().map(|hub| hub.repository.as_str());
    let full = path.or(claim).or(image).or(hub).unwrap_or("no source");
    let last = full.trim_end_matches('/').rsplit('/').next();
    last.unwrap_or(full).to_owned()
}

/// The point that every search gives, or one inferred from all trials with a score.
fn reference(members: &[Member<'_>], runs: &[Run]) -> Reference {
    let (_, first, _) = members[0];
    let backbone = first.model.backbone_parameters as f64;
    let given = |subject: &Subject<'_>| {
        crate::ask::problem(subject.spec, &subject.space, subject.model).reference
    };
    if let Some(point) = given(first)
        && members
            .iter()
            .all(|(_, subject, _)| given(subject) == Some(point))
    {
        return Reference {
            score: point.score,
            percent: 100.0 * point.parameters / backbone,
            is_given: true,
        };
    }
    let trials = runs.iter().flat_map(|run| &run.trials);
    let points: Vec<Point> = trials
        .filter_map(|trial| Some(trial.scored.as_ref()?.point()))
        .collect();
    // Each search has a trial with a score.
    let inferred = infer(&points).unwrap_or(Point {
        score: 0.0,
        cost: log_cost(backbone),
    });
    Reference {
        score: inferred.score,
        percent: 100.0 * (inferred.cost * std::f64::consts::LN_10).exp_m1() / backbone,
        is_given: false,
    }
}

/// The hypervolume after each trial.
fn measure(run: &mut Run, corner: Point) {
    let mut front: Vec<Point> = Vec::new();
    let mut volume = 0.0;
    for trial in &mut run.trials {
        if let Some(scored) = &trial.scored {
            let point = scored.point();
            let beaten =
                |by: &Point, point: &Point| by.score >= point.score && by.cost <= point.cost;
            if !front.iter().any(|member| beaten(member, &point)) {
                front.retain(|member| !beaten(&point, member));
                front.push(point);
                volume = hypervolume(&front, corner);
            }
        }
        trial.volume = volume;
    }
}

/// What is not on one axis although one might expect it.
pub(super) fn notes(sections: &[Section]) -> Vec<String> {
    let mut notes = Vec::new();
    for (place, section) in sections.iter().enumerate() {
        for other in &sections[place + 1..] {
            if section.task != other.task {
                continue;
            }
            let (one, two) = (section.runs_named(), other.runs_named());
            let task = &section.task;
            notes.push(if section.metric != other.metric {
                format!(
                    "{task} is scored by {} in {one} and by {} in {two}: they are compared separately; give both the \
                     same spec.task.metric to compare them",
                    section.metric.label(),
                    other.metric.label()
                )
            } else if section.model != other.model || section.backbone != other.backbone {
                format!(
                    "{one} and {two} search other models ({} and {}): they are compared separately, because \
                     percentages are of different backbones",
                    section.model, other.model
                )
            } else {
                format!(
                    "{one} and {two} have other files of data, columns or model for {task}: they are compared \
                     separately"
                )
            });
        }
    }
    notes
}
