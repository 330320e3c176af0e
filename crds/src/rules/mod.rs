//! Rules for a spec beyond types and ranges, a row each: CEL for the API server, by the schema (`crd.rs`), and a
//! predicate for `validate`, which may look beyond its own place. How to add one: docs/extending.md.

mod of_promotion;
mod of_switches;
mod of_tasks;
mod of_transfer;
mod places;
mod predicates;
mod problem;

use std::sync::LazyLock;

use serde_json::Value;

use self::problem::{Problem, Seen};
use crate::limits;
use crate::schema::FieldError;
use crate::tasks;

/// One rule.
struct Rule {
    /// Where it holds: fields behind `spec`, `[]` for every entry of a list.
    places: &'static [&'static str],
    /// The rule in CEL, of `self`; `None` where CEL cannot express it.
    cel: Option<String>,
    /// What would be right: the API server's message, and the remedy of `validate`.
    message: String,
    /// What is wrong with a value at one of the places; nothing where it is fine.
    check: fn(&Seen<'_>) -> Vec<Problem>,
}

/// A rule as the schema carries it.
#[derive(Clone, Copy, Debug)]
pub struct SchemaRule<'a> {
    /// Fields behind the schema's root, `[]` for the entries of a list.
    pub place: &'a str,
    /// The rule in CEL.
    pub cel: &'a str,
    /// What would be right.
    pub message: &'a str,
}

/// Every error of a spec, given as JSON with its defaults.
pub fn errors(spec: &Value) -> Vec<FieldError> {
    let mut found = Vec::new();
    for rule in RULES.iter() {
        for place in rule.places.iter().flat_map(|place| places::all(place)) {
            places::visit(spec, &place, &mut |value, path| {
                let problems = (rule.check)(&Seen { value, spec });
                found.extend(problems.into_iter().map(|problem| {
                    let remedy = problem.remedy.unwrap_or_else(|| rule.message.clone());
                    FieldError::new(format!("{path}{}", problem.below), problem.problem, remedy)
                }));
            });
        }
    }
    found
}

/// The rules that the schema carries.
pub fn in_schema() -> impl Iterator<Item = SchemaRule<'static>> {
    RULES.iter().flat_map(|rule| {
        rule.places.iter().filter_map(|place| {
            Some(SchemaRule {
                place,
                cel: rule.cel.as_deref()?,
                message: &rule.message,
            })
        })
    })
}

/// The fields of a spec that past trials depend on: immutable once a trial is planned.
pub const FIXED: [&str; 8] = [
    "model",
    "task",
    "searchSpace",
    "algorithm",
    "fidelity",
    "training",
    "objectives",
    "baselineRecipe",
];

/// Rules over the whole object: CEL and message. They see name, spec and status, old and new.
pub fn of_the_object() -> Vec<(String, String)> {
    let longest = limits::SEARCH_NAME;
    let mut rules = vec![
        (
            format!("self.metadata.name.size() <= {longest}"),
            format!(
                "a name of at most {longest} characters leaves room for the names of the trials' Jobs"
            ),
        ),
        // A removed status is replaced by its default, which has no start time.
        (
            "!has(oldSelf.status) || !has(oldSelf.status.startTime) || \
             (has(self.status) && has(self.status.startTime))"
                .to_owned(),
            "a status is never removed: it is the state of the search".to_owned(),
        ),
    ];
    // 0.1.0 wrote no count: a started search of it may have trials.
    let unplanned = "!has(oldSelf.status) || (has(oldSelf.status.ledgerEntries) ? \
                     oldSelf.status.ledgerEntries == 0 : !has(oldSelf.status.startTime))";
    rules.extend(FIXED.map(|field| {
        let (new, old) = (format!("self.spec.{field}"), format!("oldSelf.spec.{field}"));
        let is_same =
            format!("has({new}) == has({old}) && (!has({new}) || {new} == {old})");
        (
            format!("{unplanned} || {is_same}"),
            format!(
                "{field} cannot change once a trial is planned: past trials would not be comparable; \
                 create another search"
            ),
        )
    }));
    rules
}

const TOLERATIONS: &[&str] = &["spec.trainer.tolerations[]"];
const SOURCES: &[&str] = &["spec.model.source", "spec.task.source"];

/// Paths that must stay inside their source.
const INNER_PATHS: &[&str] = &[
    "spec.model.source.claim.path",
    "spec.model.source.image.path",
    "spec.task.source.claim.path",
    "spec.task.source.image.path",
    "spec.task.custom.trainFile",
    "spec.task.custom.validationFile",
    "spec.promotion.evaluation.testFile",
    "spec.trainer.artifactsClaim.path",
];

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let mut rules = sources_and_tasks();
    rules.extend(kinds_of_tasks());
    rules.extend(space_and_objectives());
    rules.push(of_switches::rule_of_sizes());
    rules.extend(algorithm_and_training());
    rules.extend(trainer_and_limits());
    rules.extend(of_promotion::rules());
    rules.extend(of_transfer::rules());
    #[cfg(test)]
    rules.extend(tests::rows());
    rules
});

fn rule(
    places: &'static [&'static str],
    cel: impl Into<String>,
    message: impl Into<String>,
    check: fn(&Seen<'_>) -> Vec<Problem>,
) -> Rule {
    Rule {
        places,
        cel: Some(cel.into()),
        message: message.into(),
        check,
    }
}

/// A rule that CEL cannot express or that searches of an earlier version may break: a condition reports it.
fn not_at_admission(
    places: &'static [&'static str],
    message: impl Into<String>,
    check: fn(&Seen<'_>) -> Vec<Problem>,
) -> Rule {
    Rule {
        places,
        cel: None,
        message: message.into(),
        check,
    }
}

fn sources_and_tasks() -> Vec<Rule> {
    let endings = tasks::FILE_ENDINGS.map(|ending| format!("'.{ending}'"));
    let endings = endings.join(", ");
    vec![
        rule(
            SOURCES,
            "[has(self.path), has(self.claim), has(self.image), has(self.hub)].filter(x, x).size() == 1",
            "give exactly one of path, claim, image and hub",
            predicates::one_source,
        ),
        rule(
            INNER_PATHS,
            "!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
            "write a relative path that has no ..",
            predicates::stays_inside,
        ),
        rule(
            &["spec.task"],
            "(self.name == 'custom') == has(self.custom)",
            "custom describes the files, columns and labels of the task named custom; leave custom out of any other",
            of_tasks::custom_is_described,
        ),
        not_at_admission(
            &["spec.task"],
            "write a metric of the task's kind",
            of_tasks::metric_fits,
        ),
        rule(
            &[
                "spec.task.custom.trainFile",
                "spec.task.custom.validationFile",
            ],
            format!("[{endings}].exists(ending, self.lowerAscii().endsWith(ending))"),
            format!("name a file that ends in {}", tasks::file_endings()),
            of_tasks::known_ending,
        ),
        rule(
            &["spec.task.custom"],
            "!(self.labelColumn in self.textColumns)",
            "labelColumn is not one of textColumns: name the column with the class or the number to predict",
            of_tasks::label_is_no_text,
        ),
        rule(
            &["spec.task.custom"],
            "self.type != 'Regression' || !has(self.labels)",
            "a regression has no labels: leave them out, or make it a Classification",
            of_tasks::numbers_have_no_labels,
        ),
    ]
}

fn kinds_of_tasks() -> Vec<Rule> {
    const CUSTOM: &[&str] = &["spec.task.custom"];
    let weight = limits::CLASS_WEIGHT;
    vec![
        rule(
            &["spec.task"],
            format!(
                "!has(self.form) || self.name in [{}]",
                tasks::with_choices()
            ),
            "form says how a task of choices is read: leave it out",
            of_tasks::form_of_choices,
        ),
        rule(
            CUSTOM,
            "(self.type == 'MultipleChoice') == has(self.choiceColumns)",
            "choiceColumns names the choices of a MultipleChoice task; leave it out of any other",
            of_tasks::choices_are_named,
        ),
        rule(
            CUSTOM,
            "!has(self.choiceColumns) || !self.choiceColumns.exists(column, column == self.labelColumn || column in self.textColumns)",
            "a column of a choice is neither labelColumn nor one of textColumns",
            of_tasks::choices_are_columns_of_their_own,
        ),
        rule(
            CUSTOM,
            "!has(self.choiceColumns) || !has(self.labels) || self.choiceColumns.size() == self.labels.size()",
            "labels of a MultipleChoice task name each of choiceColumns: give one per choice, or none",
            of_tasks::labels_name_the_choices,
        ),
        rule(
            CUSTOM,
            "!has(self.labelDelimiter) || self.type == 'MultiLabel'",
            "labelDelimiter separates the classes of a MultiLabel task; leave it out of any other",
            of_tasks::several_are_delimited,
        ),
        rule(
            CUSTOM,
            "!has(self.classWeights) || self.type in ['Classification', 'MultiLabel']",
            "classWeights is for a Classification or a MultiLabel task; leave it out of any other",
            of_tasks::classes_are_weighted,
        ),
        rule(
            &["spec.task.custom.classWeights"],
            "(has(self.balanced) && self.balanced) != has(self.values)",
            "give either balanced: true or values",
            of_tasks::one_weighting,
        ),
        rule(
            CUSTOM,
            "!has(self.classWeights) || !has(self.classWeights.values) || !has(self.labels) || self.classWeights.values.size() == self.labels.size()",
            "give a weight for each of labels, in their order",
            of_tasks::a_weight_per_class,
        ),
        rule(
            &["spec.task.custom.classWeights.values"],
            format!("self.all(weight, {})", weight.cel("double(weight)")),
            format!("write weights {weight}"),
            of_tasks::weights_in_range,
        ),
    ]
}

fn space_and_objectives() -> Vec<Rule> {
    let scores = crate::tasks::Metric::any_range();
    let (least, most) = (scores.start(), scores.end());
    let percent = limits::PARAMETERS_PERCENT;
    let part = |part: &str, places: &'static [&'static str], check| {
        let number = format!("double(self.{part})");
        let of_score = format!("{number} >= {least:?} && {number} <= {most:?}");
        let of_cost = percent.cel(&number);
        rule(
            places,
            format!("!has(self.{part}) || (self.name == 'score' ? {of_score} : {of_cost})"),
            format!(
                "a {part} is a score from {least} to {most}, or {percent} in percent of the backbone's parameters"
            ),
            check,
        )
    };
    vec![
        rule(
            &["spec.searchSpace.dimensions[]"],
            "self.name == 'layers' ? !has(self.sizes) : !has(self.mask)",
            "only layers has a mask, one character per layer; a module has sizes",
            predicates::mask_or_sizes,
        ),
        rule(
            &["spec.searchSpace.dimensions[].sizes"],
            "self.isSorted()",
            "list the sizes in ascending order, each once",
            predicates::ascending,
        ),
        part("bound", &["spec.objectives[]"], predicates::bound),
        part("reference", &["spec.objectives[]"], predicates::reference),
        rule(
            &["spec.objectives"],
            "self.filter(objective, has(objective.reference)).size() != 1",
            "give a reference for both score and trainableParameters, or for neither",
            predicates::both_references,
        ),
    ]
}

fn algorithm_and_training() -> Vec<Rule> {
    let (kept, draws) = (limits::KEPT_SAMPLES, limits::FRONT_DRAWS);
    let real = |places, range: limits::Real, like: &str, check| {
        let message = format!("write a number {range}{like}");
        rule(places, range.cel("double(self)"), message, check)
    };
    vec![
        rule(
            &["spec.algorithm"],
            format!(
                "self.nuts.samples / self.nuts.thinning * self.acquisition.monteCarloSamples <= {draws}"
            ),
            format!(
                "kept samples times monteCarloSamples are at most {draws}, each is kept in memory: lower one of them"
            ),
            predicates::draws_fit,
        ),
        rule(
            &["spec.algorithm.nuts"],
            "self.thinning <= self.samples",
            "thinning is at most samples: else no sample would be kept",
            predicates::a_sample_is_kept,
        ),
        rule(
            &["spec.algorithm.nuts"],
            format!("self.samples <= {kept} * self.thinning"),
            format!(
                "at most {kept} samples are kept, each is one more Gaussian process in memory: raise thinning, or lower samples"
            ),
            predicates::few_samples_are_kept,
        ),
        real(
            &["spec.training.learningRate", "spec.promotion.learningRate"],
            limits::LEARNING_RATE,
            ", such as \"1e-4\"",
            |seen| predicates::in_range(seen.value, limits::LEARNING_RATE),
        ),
        real(
            &["spec.training.weightDecay"],
            limits::WEIGHT_DECAY,
            "",
            |seen| predicates::in_range(seen.value, limits::WEIGHT_DECAY),
        ),
        real(
            &["spec.convergence.tolerance"],
            limits::TOLERANCE,
            "",
            |seen| predicates::in_range(seen.value, limits::TOLERANCE),
        ),
    ]
}

fn trainer_and_limits() -> Vec<Rule> {
    let at_least = |places, mib: u32, check| {
        rule(
            places,
            format!("!isQuantity(self) || !quantity(self).isLessThan(quantity('{mib}Mi'))"),
            format!(
                "at least {mib}Mi is needed; a number without a unit is bytes: write 2Gi, not 2"
            ),
            check,
        )
    };
    vec![
        rule(
            &["spec.trainer.resources.cpu"],
            "!isQuantity(self) || quantity(self).isGreaterThan(quantity('0'))",
            "cpu must be above 0: write 2 or 500m",
            predicates::some_core,
        ),
        at_least(
            &["spec.trainer.resources.memory"],
            limits::MEMORY_MIB,
            |seen| predicates::at_least(seen.value, limits::MEMORY_MIB),
        ),
        at_least(
            &["spec.trainer.resources.ephemeralStorage"],
            limits::STORAGE_MIB,
            |seen| predicates::at_least(seen.value, limits::STORAGE_MIB),
        ),
        rule(
            &["spec.trainer.priorityClassName"],
            "!self.startsWith('system-')",
            "a trainer may not have a system priority class: name one of your own",
            predicates::no_system_class,
        ),
        rule(
            TOLERATIONS,
            "has(self.key) && self.key != ''",
            "name the taint's key: whoever may create a search may not tolerate every taint at once",
            predicates::one_taint,
        ),
        rule(
            TOLERATIONS,
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value)",
            "Exists matches any value: leave value out, or write Equal",
            predicates::no_value_of_any,
        ),
        rule(
            TOLERATIONS,
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds delays an eviction: give it with effect NoExecute only",
            predicates::seconds_until_eviction,
        ),
        rule(
            &["spec"],
            "self.parallelism <= self.maxTrials",
            "let at most maxTrials trials run at the same time",
            predicates::parallelism_is_used,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A rule that only this crate's own tests have, added as docs/extending.md says.
    pub(super) fn rows() -> Vec<Rule> {
        vec![rule(
            &["spec.algorithm.nuts.warmup"],
            "self != 333",
            "write any other number",
            |seen| predicates::in_tests(seen.value),
        )]
    }

    #[test]
    fn a_new_row_is_in_validate_and_in_the_schema() {
        let spec = json!({"algorithm": {"nuts": {"warmup": 333}}});
        let found = errors(&spec);
        assert_eq!(found.len(), 1, "{found:?}");
        let words = found[0].to_string();
        let expected = "spec.algorithm.nuts.warmup: 333 is the tests'; write any other number";
        assert_eq!(words, expected);
        let mut carried = in_schema().filter(|rule| rule.cel == "self != 333");
        let rule = carried.next().expect("a rule of the schema");
        assert_eq!(rule.place, "spec.algorithm.nuts.warmup");
        let crd = serde_json::to_value(crate::crd())
            .expect("JSON")
            .to_string();
        assert!(crd.contains("self != 333") && crd.contains("write any other number"));
    }
}
