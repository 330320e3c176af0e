//! A search as the report sees it: the spec, the status, and what follows from both.

use autopeft_crds::methods::BaselineRecipe;
use autopeft_crds::metrics::{METRICS, Metric};
use autopeft_crds::modules::{MODULES, ModuleFacts};
use autopeft_crds::space::DimensionName;
use autopeft_crds::status::{FrontMember, TransferResult, TrialPurpose, search_trials};
use autopeft_crds::{LedgerEntry, Module, PeftConfiguration, PeftSearchSpec, PeftSearchStatus};

use crate::measures::BUDGETS;

/// Metrics stay within −1 and 1. Values beyond that are shown in tables only: in figures they would flatten
/// everything else.
const DRAWABLE: f64 = 1e3;

/// What a report is made from.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// The search's name.
    pub name: &'a str,
    /// The spec.
    pub spec: &'a PeftSearchSpec,
    /// The status.
    pub status: &'a PeftSearchStatus,
}

impl<'a> View<'a> {
    pub(super) fn new(
        name: &'a str,
        spec: &'a PeftSearchSpec,
        status: &'a PeftSearchStatus,
    ) -> Self {
        Self { name, spec, status }
    }

    /// The metric that is the score.
    pub(super) fn metric(&self) -> &'static str {
        self.spec.task.score_metric().label()
    }

    /// The metric with its range, for the name of an axis.
    pub(super) fn metric_with_range(&self) -> String {
        let (least, most) = self.spec.task.score_metric().range().into_inner();
        let range = format!("{least} to {most}").replace('-', "−");
        format!("validation {} ({range})", self.metric())
    }

    /// The backbone's parameters, if the model has been inspected.
    pub(super) fn backbone(&self) -> Option<u64> {
        backbone(self.status)
    }

    /// A count of parameters in percent of the backbone's.
    pub(super) fn percent(&self, parameters: u64) -> Option<f64> {
        percent(self.status, parameters)
    }

    /// The search's own trials, without those that were planned again.
    pub(super) fn trials(&self) -> impl Iterator<Item = &'a LedgerEntry> {
        search_trials(&self.status.ledger)
    }

    /// The score of a constant predictor, if the inspection has it.
    pub(super) fn constant(&self) -> Option<f64> {
        let found = self.status.inspection.as_ref()?.constant_score.as_ref()?;
        (found.metric == self.spec.task.score_metric()).then(|| found.score.get())
    }

    /// What a baseline trained: full fine-tuning has no configuration, the other baselines have one.
    pub(super) fn baseline_configuration(&self, trial: u32) -> Option<PeftConfiguration> {
        let entry = self.entry(trial)?;
        Some(entry.trained_configuration()).filter(|configuration| !configuration.is_empty_model())
    }

    /// What the baselines are, and how they were trained.
    pub(super) fn baselines_caption(&self) -> &'static str {
        match self.spec.baseline_recipe.unwrap_or_default() {
            BaselineRecipe::Search => "baselines, not part of the search, with its recipe",
            BaselineRecipe::Published => {
                "baselines, not part of the search, with their published recipes"
            }
        }
    }

    /// The modules that are shown: the paper's, those that are searched, and those that some trial has.
    pub(super) fn modules(&self) -> impl Iterator<Item = &'static ModuleFacts> {
        let searched = self.spec.search_space.dimensions.iter().flatten();
        let mut shown = [false; Module::COUNT];
        for dimension in searched {
            if let DimensionName::Size(module) = dimension.name {
                shown[module as usize] = true;
            }
        }
        for (module, size) in self
            .status
            .ledger
            .iter()
            .flat_map(|entry| entry.configuration.sizes())
        {
            shown[module as usize] |= size > 0;
        }
        let modules = MODULES.iter().zip(shown);
        modules
            .filter(|(module, shown)| *shown || module.is_of_the_paper)
            .map(|(module, _)| module)
    }

    /// The metrics beside the score that some trial on the search's own task has.
    pub(super) fn other_metrics(&self) -> impl Iterator<Item = Metric> + 'a {
        let ledger = &self.status.ledger;
        let metrics = METRICS.iter().map(|facts| facts.metric);
        metrics.filter(|metric| {
            let is_own = |entry: &&LedgerEntry| entry.purpose() != TrialPurpose::Transfer;
            let mut entries = ledger.iter().filter(is_own);
            entries.any(|entry| entry.metrics.get(*metric).is_some())
        })
    }

    /// The ledger's entry of a trial.
    pub(super) fn entry(&self, trial: u32) -> Option<&'a LedgerEntry> {
        self.status.ledger.iter().find(|entry| entry.trial == trial)
    }

    /// Whether a trial is on the front.
    pub(super) fn is_on_front(&self, trial: u32) -> bool {
        let front = &self.status.pareto_front;
        front.iter().any(|member| member.trial == trial)
    }

    /// The front, fewest parameters first.
    pub(super) fn front(&self) -> Vec<&'a FrontMember> {
        let mut front: Vec<_> = self.status.pareto_front.iter().collect();
        front.sort_by(|left, right| {
            let by_score = right.score.get().total_cmp(&left.score.get());
            left.parameters.cmp(&right.parameters).then(by_score)
        });
        front
    }

    /// The best member of the front within each budget, where budgets make a difference.
    pub(super) fn best_within_budgets(&self) -> Vec<(f64, &'a FrontMember)> {
        let mut found: Vec<(f64, &FrontMember)> = Vec::new();
        for budget in BUDGETS {
            let within = self.status.pareto_front.iter().filter(|member| {
                self.percent(member.parameters)
                    .is_some_and(|percent| percent <= budget)
            });
            let best = within.max_by(|left, right| left.score.get().total_cmp(&right.score.get()));
            if let Some(best) = best
                && found
                    .last()
                    .is_none_or(|(_, last)| last.trial != best.trial)
            {
                found.push((budget, best));
            }
        }
        found
    }
}

fn backbone(status: &PeftSearchStatus) -> Option<u64> {
    let inspection = status.inspection.as_ref()?;
    (inspection.backbone_parameters > 0).then_some(inspection.backbone_parameters)
}

/// A count of parameters in percent of the backbone's, if the model has been inspected.
pub(super) fn percent(status: &PeftSearchStatus, parameters: u64) -> Option<f64> {
    Some(100.0 * parameters as f64 / backbone(status)? as f64)
}

/// The other task of a trial that has one: by its name in the spec once the trial has a score, before by its kind.
pub(super) fn other_task(status: &PeftSearchStatus, entry: &LedgerEntry) -> Option<String> {
    let task = entry.terms.as_ref()?.task.as_ref()?;
    let is_of = |found: &&TransferResult| {
        let mut seeds = found.results.iter().flat_map(|result| &result.seeds);
        seeds.any(|seed| seed.trial == entry.trial)
    };
    let named = status.transfer.iter().find(is_of);
    Some(named.map_or_else(|| task.name.as_str().to_owned(), |found| found.task.clone()))
}

/// A score that a figure can show.
pub(super) fn drawable(value: f64) -> Option<f64> {
    (value.abs() <= DRAWABLE).then_some(value)
}
