//! How far a search has come, from its object alone.

use autopeft_crds::space::SearchSpace;
use autopeft_crds::trial::Inspection;
use autopeft_crds::validate::validate;
use autopeft_search::ledger::{Event, Ledger, RestoreError};
use autopeft_search::measures::Subject;
use autopeft_search::object;
use autopeft_search::planner::Engine;
use autopeft_search::request::Locations;
use autopeft_search::{feasible, inspection};
use k8s_openapi::api::batch::v1::Job;

use crate::controller::error::ReconcileError;
use crate::controller::pass::Pass;
use autopeft_jobs::build::volumes;

/// The stage of a search.
#[derive(Debug)]
pub enum Stage {
    /// Its spec is invalid; one sentence per error.
    Invalid(Vec<String>),
    /// Model and data have not been inspected yet.
    Inspecting {
        /// The inspection's Job.
        wanted: Box<Job>,
    },
    /// Its trials are planned and run.
    Searching(Box<Course>),
    /// Its ledger is inconsistent.
    Unreadable(RestoreError),
}

/// A search whose trials are planned and run.
#[derive(Debug)]
pub struct Course {
    /// Where trainers find their files.
    pub locations: Locations,
    /// Space, objectives and problem.
    pub subject: Subject,
    /// The ledger, with what was decided since the object was read.
    pub ledger: Ledger,
    /// The state of the engine after that.
    pub engine: Engine,
    /// What was decided since the object was read.
    pub events: Vec<Event>,
}

/// The stage of a search.
pub fn stage(pass: &Pass<'_>) -> Result<Stage, ReconcileError> {
    let search = &pass.search;
    let errors = validate(&search.spec);
    if !errors.is_empty() {
        let errors = errors.iter().map(ToString::to_string);
        return Ok(Stage::Invalid(errors.collect()));
    }
    let locations = match volumes::locations(search) {
        Ok(locations) => locations,
        Err(error) => return Ok(Stage::Invalid(vec![error.to_string()])),
    };
    match inspection::known(search) {
        Some(found) => Ok(searching(pass, locations, found)),
        None => Ok(Stage::Inspecting {
            wanted: Box::new(pass.inspection_job(&locations)?),
        }),
    }
}

fn searching(pass: &Pass<'_>, locations: Locations, found: &Inspection) -> Stage {
    let search = &pass.search;
    let space = SearchSpace::resolve(
        &search.spec.search_space,
        found.layers as usize,
        found.shape(),
    );
    let space = match space {
        Ok(space) => space,
        Err(error) => return Stage::Invalid(vec![format!("spec.{error}")]),
    };
    let subject = Subject::new(&search.spec, &space, found);
    if let Err(error) = feasible::check(&subject) {
        return Stage::Invalid(vec![error.to_string()]);
    }
    let generation = search.metadata.generation;
    let bad_input = pass.memory.bad_input.as_ref();
    let bad_input = bad_input.filter(|(seen, _)| *seen == generation);
    let bad_input = bad_input.map(|(_, found)| found.clone());
    match object::ledger(search, bad_input, pass.now) {
        Ok(ledger) => Stage::Searching(Box::new(Course {
            subject,
            locations,
            ledger,
            engine: pass.memory.engine.clone(),
            events: Vec::new(),
        })),
        Err(error) => Stage::Unreadable(error),
    }
}
