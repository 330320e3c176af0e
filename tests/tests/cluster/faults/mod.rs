//! Searches under faults of the network and the API server, which the fault proxy injects (tests/src/proxy). Rows are those of docs/faults.md.

mod network;
mod outages;
mod plans;
mod watches;

use std::time::Duration;

use autopeft_integration_tests::proxy::{Change, Effect, Rule, Verb, When};

/// The timeout of one wait.
pub const LIMIT: Duration = Duration::from_secs(180);
/// The watched resources.
pub const WATCHED: [&str; 3] = ["peftsearches", "jobs", "pods"];

/// A fault of every watch.
pub fn on_watches(when: When, change: Change) -> Vec<Rule> {
    let rule = |resource| Rule::on(Verb::Watch, resource, when, Effect::Events(change));
    WATCHED.map(rule).to_vec()
}
