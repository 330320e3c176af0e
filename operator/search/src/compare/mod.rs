//! Several searches side by side: what may be compared with what, and the numbers. No I/O, no clock.
//!
//! Searches of one task, metric, model and data are one section. In a section, searches that differ in seeds alone are
//! one kind; kinds are named by what they differ in. What they found may have been trained on each other's tasks: that is
//! a matrix over the sections. `report::comparison_html` and its neighbours show it.

mod cost;
mod given;
mod groups;
mod kinds;
mod run;
mod section;
mod settings;
mod spread;
mod tables;
mod transfer;

pub use cost::{Cost, FullTraining};
pub use given::{CompareError, Given};
pub use groups::{Ablation, Race, Wins};
pub use kinds::{Kind, Step};
pub use run::{Baseline, Chosen, InFull, Run, Scored, Trial};
pub use section::{Reference, Section};
pub use settings::Strategy;
pub use spread::Spread;
pub use tables::{Method, MethodGroup};
pub use transfer::{Transfer, TransferColumn, TransferRow};

use run::Subject;

/// Several searches side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The budget of trainable parameters, in percent of the backbone's.
    pub budget: f64,
    /// The searches that can be compared with one another.
    pub sections: Vec<Section>,
    /// What the searches of a model found, on other tasks; empty where none has results there.
    pub transfers: Vec<Transfer>,
    /// What is not compared, and why.
    pub notes: Vec<String>,
}

/// Compares searches; `budget` in percent of the backbone's parameters.
pub fn compare(given: &[Given], budget: f64) -> Result<Comparison, CompareError> {
    if given.is_empty() {
        return Err(CompareError::Nothing);
    }
    for (place, one) in given.iter().enumerate() {
        let uid = one.search.metadata.uid.as_ref();
        let mut before = given[..place].iter();
        if let Some(same) =
            before.find(|other| uid.is_some() && other.search.metadata.uid.as_ref() == uid)
        {
            return Err(CompareError::Twice(same.origin.clone(), one.origin.clone()));
        }
    }
    let subjects = given
        .iter()
        .map(Subject::new)
        .collect::<Result<Vec<_>, _>>()?;
    let labels = labels(&subjects);
    let sections = section::sections(&subjects, &labels, budget);
    Ok(Comparison {
        budget,
        notes: section::notes(&sections),
        sections,
        transfers: transfer::transfers(&subjects, &labels, budget),
    })
}

/// What each search is called: its name where names differ, else as it was given.
fn labels(subjects: &[Subject<'_>]) -> Vec<String> {
    let is_unique = |name: &str| subjects.iter().filter(|other| other.name() == name).count() == 1;
    let names_differ = subjects.iter().all(|subject| is_unique(subject.name()));
    let label = |subject: &Subject<'_>| match names_differ {
        true => subject.name().to_owned(),
        false => subject.given.origin.clone(),
    };
    subjects.iter().map(label).collect()
}
