//! The shell between the rules of a search and Kubernetes. It decides nothing about a search.
//!
//! One reconcile of one search: read → judge → plan → record → act. The status is written by compare-and-swap
//! before anything that follows from it is done, so that whoever comes next, this process or another, goes on from
//! the objects alone.

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
mod pulse;
mod read;
mod record;
mod sweep;

use kube::runtime::controller::Action as Next;

use error::ReconcileError;
use pass::Pass;
use plan::Planned;

/// Reconciles a search; when to look again if nothing happens before.
async fn reconcile(pass: &mut Pass<'_>) -> Result<Next, ReconcileError> {
    // Client: the object, its Jobs and pods, the engine's answer.
    if !read::read(pass).await? {
        return Ok(Next::await_change());
    }
    record::tell_rival(pass).await;
    // No client: how far the search has come.
    let mut stage = judge::stage(pass)?;
    let mut decision = loop {
        // No client: what its Jobs and pods amount to.
        let seen = judge::look(pass, &stage);
        // No client: what follows from that.
        match plan::plan(pass, &mut stage, seen)? {
            // Client: what only the API server knows.
            Planned::Ask(question) => read::answer(pass, question).await?,
            Planned::Again => {}
            Planned::Decided(decision) => break *decision,
        }
    };
    // Client: why a Job has no pod.
    read::explain(pass, &mut decision.troubles).await;
    // Client: the status, then the events that tell of it.
    record::record(pass, &stage, &decision).await?;
    // Client: Jobs, pods, the engine.
    act::act(pass, &mut stage, decision).await
}
