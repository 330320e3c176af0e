//! The state of a search from its object, Jobs and pods. No client, no I/O, no clock.

mod inspection;
mod stage;

use super::pass::Pass;
use autopeft_jobs::judge::observe::{Observed, View, observe};
pub use inspection::{Look, objects as inspection_objects};
pub use stage::{Course, Stage, stage};

/// The observation of a search in its stage.
#[derive(Debug)]
pub enum Seen {
    /// The object suffices.
    Nothing,
    /// The inspection.
    Inspection(Look),
    /// The trials.
    Trials(Observed),
}

/// Observes the Jobs and pods of the stage.
pub fn look(pass: &Pass<'_>, stage: &Stage) -> Seen {
    match stage {
        Stage::Invalid(_) | Stage::Unreadable(_) => Seen::Nothing,
        Stage::Inspecting { wanted, .. } => Seen::Inspection(inspection::look(pass, wanted)),
        Stage::Searching(course) => Seen::Trials(trials(pass, course)),
    }
}

fn trials(pass: &Pass<'_>, course: &Course) -> Observed {
    let (name, uid) = (pass.name(), pass.uid());
    let view = View {
        name: &name,
        uid: &uid,
        ledger: &course.ledger,
        spec: &pass.search.spec,
        jobs: &pass.jobs,
        pods: &pass.pods,
        created: &pass.memory.created,
        gone: &pass.memory.gone,
        conflicts: &pass.memory.conflicts,
        unclear: &pass.memory.unclear,
        confirmed: &pass.confirmed,
        patience: &pass.context.patience,
        now: pass.now,
    };
    observe(&view, |run| {
        // A request that cannot be serialised is reported when the Job is created.
        pass.job(&course.locations, &course.ledger, run)
            .unwrap_or_default()
    })
}
