//! What each search found, trained in full on the tasks of the others: the paper's matrix of transfer (Figure 5).

use autopeft_crds::Decimal;
use autopeft_crds::metrics::Metric;
use autopeft_crds::spec::{BaselineName, EvaluationSpec, Source, TaskForm, TaskSpec};
use autopeft_crds::status::{PromotedResult, Recommendation};

use super::run::{Subject, percent};
use super::section;
use super::settings::{self, Settings};
use crate::transferred::{self, Cell, Column, What};
use crate::{promoted, request};

/// The searches of one model, and the tasks on which they trained in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// What it is called.
    pub title: String,
    /// The tasks: those of the searches, then the others.
    pub columns: Vec<TransferColumn>,
    /// Each search with its configuration, then full fine-tuning and the other baselines.
    pub rows: Vec<TransferRow>,
    /// What does not share a column, or shares one from several places, and what has no row.
    pub notes: Vec<String>,
}

/// A task with its metric and data.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferColumn {
    /// The task; with a number where another column has the same name and metric.
    pub task: String,
    /// The metric that is the score.
    pub metric: Metric,
    /// The least and the best fair mean.
    pub range: Option<(f64, f64)>,
}

/// What was found or trained by one search.
#[derive(Clone, Debug, PartialEq)]
pub struct TransferRow {
    /// The search.
    pub search: String,
    /// The column of the search's own task.
    pub own: usize,
    /// The trial of the recommended configuration, or the baseline.
    pub what: What,
    /// Whether another search has a row of the same baseline.
    pub is_repeated: bool,
    /// Trainable parameters in percent of the backbone's.
    pub percent: f64,
    /// What it has in each column.
    pub cells: Vec<Option<Cell>>,
}

impl TransferColumn {
    /// Whether a cell of this column has its best mean.
    pub fn is_best(&self, cell: &Cell) -> bool {
        let best = self.range.map(|(_, most)| most);
        best.is_some() && cell.fair() == best
    }

    /// Where a cell of this column stands: from 0, the least mean, to 1, the best. Nothing without a fair mean, or
    /// where all are equal.
    pub fn height(&self, cell: &Cell) -> Option<f64> {
        let (least, most) = self.range.filter(|(least, most)| least < most)?;
        Some((cell.fair()? - least) / (most - least))
    }
}

impl TransferRow {
    /// The baseline, where it is one.
    pub fn baseline(&self) -> Option<BaselineName> {
        self.what.1
    }

    /// Whether a column is of the task on which the configuration was found.
    pub fn is_own(&self, column: usize) -> bool {
        self.baseline().is_none() && self.own == column
    }
}

/// A search with its name in the comparison.
#[derive(Clone, Copy)]
struct Named<'a, 's> {
    subject: &'s Subject<'a>,
    label: &'s str,
}

impl Named<'_, '_> {
    fn has_transfers(&self) -> bool {
        !self.subject.status.transfer.is_empty()
    }
}

/// The matrices, one of each model of which a search has results on other tasks; `budget` in percent of the backbone's
/// parameters.
pub(super) fn transfers(subjects: &[Subject<'_>], labels: &[String], budget: f64) -> Vec<Transfer> {
    let mut models: Vec<(String, Vec<Named<'_, '_>>)> = Vec::new();
    for (subject, label) in subjects.iter().zip(labels) {
        let named = Named { subject, label };
        let model = section::model_key(subject.model);
        match models.iter_mut().find(|(known, _)| *known == model) {
            Some((_, searches)) => searches.push(named),
            None => models.push((model, vec![named])),
        }
    }
    models.retain(|(_, searches)| searches.iter().any(Named::has_transfers));
    let several = models.len() > 1;
    models
        .iter()
        .map(|(_, searches)| transfer(searches, several, budget))
        .collect()
}

/// The matrix of some searches of one model, one of which has results on other tasks.
fn transfer(searches: &[Named<'_, '_>], several: bool, budget: f64) -> Transfer {
    let all = searches.iter().enumerate();
    let mut members: Vec<Member<'_>> = all
        .flat_map(|(search, named)| members(search, named.subject))
        .collect();
    members.sort_by_key(|member| !member.is_own);
    let mut groups = by_task(&members);
    // A task on which nobody but its own search has trained says nothing here.
    groups.retain(|group| {
        let mut searched = group.iter().map(|at| members[*at].search);
        searched.any(|search| searches[search].has_transfers())
    });
    let matrix = Matrix {
        searches,
        names: names(&members, &groups),
        members,
        groups,
    };
    let (rows, missing) = matrix.rows(budget);
    let model = searches.first().map(|named| named.subject);
    let model = model.map(|subject| section::source_name(&subject.spec.model.source));
    let model = model.filter(|_| several);
    Transfer {
        title: model.map_or_else(
            || "On other tasks".to_owned(),
            |model| format!("On other tasks, {model}"),
        ),
        columns: matrix.columns(&rows),
        notes: matrix.notes().into_iter().chain(missing).collect(),
        rows,
    }
}

/// A task on which a search trained in full.
struct Member<'a> {
    /// The place of the search.
    search: usize,
    /// Whether it is the search's own task.
    is_own: bool,
    /// What the task is called.
    name: String,
    task: &'a TaskSpec,
    evaluation: Option<&'a EvaluationSpec>,
    /// Of its data, where it is known.
    fingerprint: Option<&'a str>,
    column: Column<'a>,
}

fn members<'a>(search: usize, subject: &Subject<'a>) -> Vec<Member<'a>> {
    let (spec, model) = (subject.spec, subject.model);
    let mut columns = transferred::columns(spec, subject.status).into_iter();
    let own = columns.next().map(|column| Member {
        search,
        is_own: true,
        name: section::task_name(subject),
        task: &spec.task,
        evaluation: request::evaluation(spec),
        fingerprint: model.data_fingerprint.as_deref(),
        column,
    });
    let others = columns.filter_map(|column| {
        let mut others = request::others(spec).iter();
        let other = others.find(|other| other.name == column.task)?;
        let hash = other.task.hash();
        let data = model.others.iter().find(|data| data.task == hash);
        Some(Member {
            search,
            is_own: false,
            name: other.name.clone(),
            task: &other.task,
            evaluation: request::evaluation_of(spec, other),
            fingerprint: data.map(|data| data.fingerprint.as_str()),
            column,
        })
    });
    own.into_iter().chain(others).collect()
}

impl Member<'_> {
    /// Whether both are one task: described alike, scored alike, of the same data. Data is the same by its fingerprint
    /// or, where that of one is unknown, by its place.
    fn is_of(&self, other: &Self) -> bool {
        described(self.task) == described(other.task)
            && self.evaluation == other.evaluation
            && match (self.fingerprint, other.fingerprint) {
                (Some(one), Some(two)) => one == two,
                _ => place(self.task) == place(other.task),
            }
    }

    /// Whether a reader may take both for one task.
    fn is_taken_for(&self, other: &Self) -> bool {
        let is_known = self.task.name.facts().is_some();
        self.name == other.name || (is_known && self.task.name == other.task.name)
    }

    /// Why two tasks that may be taken for one are not one.
    fn difference(&self, other: &Self) -> &'static str {
        if described(self.task) != described(other.task) {
            return "they are described differently (spec.task)";
        }
        if self.evaluation != other.evaluation {
            return "their scores come from other examples (promotion.evaluation)";
        }
        match self.fingerprint.and(other.fingerprint) {
            Some(_) => "they have other files of data",
            None => "the fingerprint of one is unknown, so their files cannot be compared",
        }
    }
}

/// A task with its metric and form, and without its place.
fn described(task: &TaskSpec) -> TaskSpec {
    TaskSpec {
        source: Source::default(),
        metric: Some(task.score_metric()),
        form: task.form.filter(|form| *form == TaskForm::Pair),
        ..task.clone()
    }
}

/// Where a task's data lies, whoever may read it.
fn place(task: &TaskSpec) -> Source {
    let mut source = task.source.clone();
    if let Some(hub) = &mut source.hub {
        hub.token_secret_ref = None;
    }
    source
}

/// The places of the members of each task, tasks in the order of their first members.
fn by_task(members: &[Member<'_>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let is_known = |at: &usize| members[*at].fingerprint.is_some();
    // One without a fingerprint joins a task by its place, unless tasks of different data were there.
    let (known, unknown): (Vec<usize>, Vec<usize>) = (0..members.len()).partition(is_known);
    for at in known.into_iter().chain(unknown) {
        let fits = |group: &usize| {
            let mut others = groups[*group].iter();
            others.any(|other| members[at].is_of(&members[*other]))
        };
        let fitting: Vec<usize> = (0..groups.len()).filter(fits).collect();
        match fitting.as_slice() {
            [only] => groups[*only].push(at),
            _ => groups.push(vec![at]),
        }
    }
    for group in &mut groups {
        group.sort_unstable();
    }
    groups.sort_by_key(|group| group.first().copied());
    groups
}

/// The name and the metric of each task, numbered where they are those of another one.
fn names(members: &[Member<'_>], groups: &[Vec<usize>]) -> Vec<(String, Metric)> {
    let plain: Vec<(&str, Metric)> = groups
        .iter()
        .map(|group| {
            let first = &members[group[0]];
            (first.name.as_str(), first.column.metric)
        })
        .collect();
    let told_apart = |(at, (name, metric)): (usize, &(&str, Metric))| {
        let is_equal = |other: &&(&str, Metric)| **other == (*name, *metric);
        let name = match plain.iter().filter(is_equal).count() {
            1 => (*name).to_owned(),
            _ => format!("{name} [{}]", plain[..=at].iter().filter(is_equal).count()),
        };
        (name, *metric)
    };
    plain.iter().enumerate().map(told_apart).collect()
}

/// Searches and tasks.
struct Matrix<'a, 's> {
    searches: &'s [Named<'a, 's>],
    members: Vec<Member<'a>>,
    /// The places of the members of each task.
    groups: Vec<Vec<usize>>,
    /// The name and the metric of each task.
    names: Vec<(String, Metric)>,
}

impl<'a> Matrix<'a, '_> {
    fn of_group(&self, group: usize) -> impl Iterator<Item = &Member<'a>> {
        self.groups[group].iter().map(move |at| &self.members[*at])
    }

    /// The rows, and why a search has none.
    fn rows(&self, budget: f64) -> (Vec<TransferRow>, Vec<String>) {
        let (mut rows, mut missing) = (Vec::new(), Vec::new());
        let mut baselines: Vec<(BaselineName, usize)> = Vec::new();
        for (search, Named { subject, label }) in self.searches.iter().enumerate() {
            if self.own(search).is_none() {
                continue;
            }
            match recommended(subject, budget) {
                Some(taken) => rows.extend(self.row(search, (taken.trial, None), false)),
                None => missing.push(format!(
                    "{label}: no configuration within {budget} % has a score from each of its trainings in full"
                )),
            }
            let of_search = self.members.iter().filter(|member| member.search == search);
            for ((_, baseline), _) in of_search.flat_map(|member| &member.column.cells) {
                if let Some(name) = baseline
                    && !baselines.contains(&(*name, search))
                {
                    baselines.push((*name, search));
                }
            }
        }
        baselines.sort_unstable();
        for (name, search) in &baselines {
            let is_repeated = baselines.iter().filter(|(other, _)| other == name).count() > 1;
            rows.extend(self.row(*search, (None, Some(*name)), is_repeated));
        }
        (rows, missing)
    }

    /// The column of a search's own task.
    fn own(&self, search: usize) -> Option<usize> {
        (0..self.groups.len()).find(|group| {
            let mut members = self.of_group(*group);
            members.any(|member| member.is_own && member.search == search)
        })
    }

    fn row(&self, search: usize, what: What, is_repeated: bool) -> Option<TransferRow> {
        let of_group = |group: usize| {
            let mut members = self
                .of_group(group)
                .filter(|member| member.search == search);
            members.find_map(|member| member.column.cell(what).cloned())
        };
        let cells: Vec<Option<Cell>> = (0..self.groups.len()).map(of_group).collect();
        let Named { subject, label } = self.searches[search];
        let own = self.own(search)?;
        let of_any = || cells.iter().flatten().next();
        let measured = cells[own].as_ref().or_else(of_any)?;
        Some(TransferRow {
            search: label.to_owned(),
            own,
            what,
            is_repeated,
            percent: percent(measured.parameters, subject.model.backbone_parameters),
            cells,
        })
    }

    fn columns(&self, rows: &[TransferRow]) -> Vec<TransferColumn> {
        let column = |(at, (task, metric)): (usize, &(String, Metric))| {
            let cells = rows.iter().filter_map(|row| row.cells[at].as_ref());
            let means: Vec<f64> = cells.filter_map(Cell::fair).collect();
            let least = means.iter().copied().min_by(f64::total_cmp);
            let most = means.iter().copied().max_by(f64::total_cmp);
            TransferColumn {
                task: task.clone(),
                metric: *metric,
                range: least.zip(most),
            }
        };
        self.names.iter().enumerate().map(column).collect()
    }

    /// What does not share a column, what shares one from several places, and what was not trained alike.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (group, (name, metric)) in self.names.iter().enumerate() {
            let first = &self.members[self.groups[group][0]];
            let is_elsewhere = |member: &&Member<'_>| place(member.task) != place(first.task);
            if let Some(other) = self.of_group(group).find(is_elsewhere) {
                let [one, two] = [first, other].map(|member| self.searches[member.search].label);
                notes.push(format!(
                    "{name}: {one} and {two} name different places of its files, which are equal by fingerprint"
                ));
            }
            for next in group + 1..self.groups.len() {
                let other = &self.members[self.groups[next][0]];
                if *metric == self.names[next].1 && first.is_taken_for(other) {
                    notes.push(format!(
                        "{name} ({}) and {} ({}) do not share a column: {}",
                        self.searched(group),
                        self.names[next].0,
                        self.searched(next),
                        first.difference(other)
                    ));
                }
            }
        }
        notes.extend(self.trained_differently());
        notes
    }

    /// In what the searches differ when they train in full.
    fn trained_differently(&self) -> Option<String> {
        let searches = self.searches.iter().enumerate();
        let shown = searches.filter(|(search, _)| self.own(*search).is_some());
        let all: Vec<(&str, Settings)> = shown
            .map(|(_, named)| (named.label, settings::in_full(named.subject.spec)))
            .collect();
        let paths = settings::differing(all.iter().map(|(_, settings)| settings));
        let shown = |(label, settings): &(&str, Settings)| {
            format!("{label} with {}", settings::shown(settings, &paths))
        };
        let shown: Vec<String> = all.iter().map(shown).collect();
        (!paths.is_empty()).then(|| {
            let shown = shown.join("; ");
            format!("the searches do not train in full alike: {shown}")
        })
    }

    /// The searches that trained on a task, by name.
    fn searched(&self, group: usize) -> String {
        let mut names: Vec<&str> = Vec::new();
        for member in self.of_group(group) {
            let name = self.searches[member.search].label;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(", ")
    }
}

/// The configuration of the search that is recommended within a budget, as `promoted::within` chooses among what was
/// trained in full; baselines have rows of their own.
fn recommended(subject: &Subject<'_>, budget: f64) -> Option<Recommendation> {
    let promotion = subject.spec.promotion.as_ref()?;
    let complete = promoted::complete(promotion, &subject.status.promoted).into_iter();
    let of_trials: Vec<&PromotedResult> =
        complete.filter(|result| result.trial.is_some()).collect();
    promoted::within(Decimal::new(budget).ok()?, &of_trials)
}
