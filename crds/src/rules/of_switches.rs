//! The rule of modules that are on or off.

use super::problem::{Problem, Seen, count, text};
use super::{Rule, rule};
use crate::limits;
use crate::modules::{MODULES, ModuleFacts};

/// The row.
pub(super) fn rule_of_sizes() -> Rule {
    let switches = MODULES.iter().filter(|facts| facts.is_switch);
    let names: Vec<&str> = switches.map(|facts| facts.name).collect();
    rule(
        &["spec.searchSpace.dimensions[]"],
        format!(
            "!(self.name in {names:?}) || !has(self.sizes) || self.sizes.all(size, size <= {})",
            limits::SWITCH.most
        ),
        "a module that is on or off has the sizes 0 and 1",
        sizes,
    )
}

fn sizes(seen: &Seen<'_>) -> Vec<Problem> {
    let name = text(&seen.value["name"]);
    let is_switch = |facts: &ModuleFacts| facts.is_switch && facts.name == name;
    if !MODULES.iter().any(is_switch) {
        return Vec::new();
    }
    let sizes = seen.value["sizes"].as_array().into_iter().flatten();
    let wrong = sizes
        .filter_map(count)
        .enumerate()
        .filter(|(_, size)| !limits::SWITCH.contains(*size));
    wrong
        .map(|(index, size)| Problem {
            below: format!(".sizes[{index}]"),
            problem: format!("{name} has no size {size}: it is off (0) or on (1)"),
            remedy: None,
        })
        .collect()
}
