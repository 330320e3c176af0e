//! Recomputes every suggestion of a journal from its recorded inputs. No I/O.

use std::fmt;

use autopeft_crds::space::SpaceError;
use autopeft_crds::status::TrialPurpose;
use autopeft_crds::{Decimal, SearchSpace};

use crate::ask::{self, AskError, Asked};
use crate::history::{History, Stamped};
use crate::ledger::{Event, LedgerError, Planned};

/// Why a suggestion cannot be recomputed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The engine failed.
    #[error("trial {trial} cannot be recomputed: {source}")]
    Ask {
        /// The trial.
        trial: u32,
        /// Why.
        source: AskError,
    },
    /// The journal's space does not fit its model.
    #[error("the journal's spec.{0}")]
    Space(#[from] SpaceError),
    /// The journal's events do not follow from each other.
    #[error("the journal contradicts itself: {0}")]
    Ledger(#[from] LedgerError),
}

/// One suggestion, recomputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The trial.
    pub trial: u32,
    /// The differences, in words; empty if there are none.
    pub differences: Vec<String>,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.differences.is_empty() {
            write!(formatter, "trial {:>3}: same", self.trial)
        } else {
            let differences = self.differences.join("; ");
            write!(
                formatter,
                "trial {:>3}: DIFFERENT: {differences}",
                self.trial
            )
        }
    }
}

/// How many suggestions were reproduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bit for bit the same.
    pub same: usize,
    /// Not the same.
    pub different: usize,
}

impl Counts {
    /// Counts a step.
    pub fn add(&mut self, step: &Step) {
        if step.differences.is_empty() {
            self.same += 1;
        } else {
            self.different += 1;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.same + self.different;
        match self.different {
            0 => write!(
                formatter,
                "all {total} suggestions are bit for bit the same"
            ),
            different => write!(
                formatter,
                "{different} of {total} suggestions are different"
            ),
        }
    }
}

/// Recomputes the suggestions of a journal, one at a time. Trials of other purposes
/// and those that are tried again are not suggested by the engine.
pub fn replay(history: &History) -> impl Iterator<Item = Result<Step, ReplayError>> + '_ {
    history
        .events
        .iter()
        .filter_map(|Stamped { at: _, event }| match event {
            Event::Planned(planned)
                if planned.origin.purpose() == TrialPurpose::Search
                    && planned.of_trial.is_none() =>
            {
                Some(planned)
            }
            _ => None,
        })
        .map(|planned| step(history, planned))
}

fn step(history: &History, planned: &Planned) -> Result<Step, ReplayError> {
    let spec = history.spec_at(planned.basis);
    let model = &history.header.inspection;
    let space = SearchSpace::resolve(&spec.search_space, model.layers as usize, model.shape())?;
    let ledger = history.ledger_at(planned.basis)?;
    let trial = planned.trial;
    let asked = ask::ask(
        &ask::problem(spec, &space, model),
        spec.task.score_metric(),
        &ledger,
        &|| false,
    )
    .map_err(|source| ReplayError::Ask { trial, source })?;
    let differences = match asked {
        Asked::Suggestion(again) => differences(planned, &again),
        Asked::Exhausted => vec!["the space is exhausted".into()],
    };
    Ok(Step { trial, differences })
}

fn differences(before: &Planned, again: &Planned) -> Vec<String> {
    let Planned {
        trial,
        configuration,
        parameters,
        origin,
        baseline: _,
        of_trial: _,
        terms: _,
        basis: _,
        inputs_hash,
        acquisition,
        predicted_mean,
        predicted_deviation,
        surrogate,
    } = before;
    let number =
        |value: &Option<Decimal>| value.map_or("nothing".into(), |value| value.to_string());
    let pairs = [
        ("trial", trial.to_string(), again.trial.to_string()),
        (
            "configuration",
            configuration.to_string(),
            again.configuration.to_string(),
        ),
        (
            "parameters",
            parameters.to_string(),
            again.parameters.to_string(),
        ),
        (
            "origin",
            origin.as_str().into(),
            again.origin.as_str().into(),
        ),
        ("inputs", inputs_hash.clone(), again.inputs_hash.clone()),
        (
            "acquisition",
            number(acquisition),
            number(&again.acquisition),
        ),
        (
            "predicted mean",
            number(predicted_mean),
            number(&again.predicted_mean),
        ),
        (
            "predicted deviation",
            number(predicted_deviation),
            number(&again.predicted_deviation),
        ),
    ];
    let mut found: Vec<String> = pairs
        .into_iter()
        .filter(|(_, before, again)| before != again)
        .map(|(name, before, again)| format!("{name} was {before}, is {again}"))
        .collect();
    if *surrogate != again.surrogate {
        found.push("the surrogate's report differs".into());
    }
    found
}
