//! What becomes of searches when the network and the API server fail the operator: between the two
//! stands the fault proxy (tests/src/proxy). Rows are those of docs/faults.md.

mod broken;
mod plans;
mod surroundings;
mod watches;

use std::time::Duration;

use autopeft_integration_tests::proxy::{Change, Effect, Rule, Verb, When};

/// The longest that a test waits for one thing.
pub const LIMIT: Duration = Duration::from_secs(60);
/// What the operator watches.
pub const WATCHED: [&str; 3] = ["peftsearches", "jobs", "pods"];

/// A fault of every watch.
pub fn on_watches(when: When, change: Change) -> Vec<Rule> {
    let rule = |resource| Rule::on(Verb::Watch, resource, when, Effect::Events(change));
    WATCHED.map(rule).to_vec()
}
