//! The shell for Kubernetes. It makes no decision about a search.
//!
//! One reconcile of one search: read → judge → plan → record → act. The status is written by compare-and-swap
//! before anything it implies is done, so that the next reconcile, in this process or another, needs nothing but the
//! objects.

mod act;
mod client;
mod context;
mod engines;
mod error;
mod judge;
mod memory;
mod metrics;
mod pass;
mod plan;
pub mod process;
mod read;
mod record;
mod sweep;
mod watchdog;

use kube::runtime::controller::Action as Next;

use error::ReconcileError;
use pass::Pass;
use plan::Planned;

/// Reconciles a search; returns when to reconcile next if nothing happens before.
async fn reconcile(pass: &mut Pass<'_>) -> Result<Next, ReconcileError> {
    // Client: the object, its Jobs and pods, the engine's answer.
    if !read::read(pass).await? {
        return Ok(Next::await_change());
    }
    record::report_rival(pass).await;
    // No client: the stage of the search.
    let mut stage = judge::stage(pass)?;
    let mut decision = loop {
        // No client: the state of its Jobs and pods.
        let seen = judge::look(pass, &stage);
        // No client: the decision.
        match plan::plan(pass, &mut stage, seen)? {
            // Client: what the caches cannot answer.
            Planned::Ask(question) => read::answer(pass, question).await?,
            Planned::Again => {}
            Planned::Decided(decision) => break *decision,
        }
    };
    // Client: why a Job has no pod.
    read::explain(pass, &mut decision.troubles).await;
    // Client: the status, then events about it.
    record::record(pass, &stage, &decision).await?;
    // Client: Jobs, pods, the engine.
    act::act(pass, &mut stage, decision).await
}
