//! Fault plans: up to three faults at requests drawn from a seed.

use std::time::Duration;

use crate::proxy::{Change, Effect, Rule, Verb, When, mix};

/// The operator's requests, and how many of each a small search takes.
const REQUESTS: [(Verb, &str, u64); 8] = [
    (Verb::Create, "jobs", 11),
    (Verb::Update, "peftsearches/status", 20),
    (Verb::Delete, "jobs", 11),
    (Verb::Patch, "pods", 11),
    (Verb::Get, "peftsearches", 2),
    (Verb::Patch, "leases", 3),
    (Verb::Create, "events", 2),
    (Verb::List, "pods", 2),
];

const WATCHED: [&str; 3] = ["peftsearches", "jobs", "pods"];

/// A fault plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// The faults.
    pub rules: Vec<Rule>,
}

/// A random number generator.
struct Draw(u64);

impl Draw {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % bound
    }

    fn index(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).expect("a small number")
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len() as u64)]
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut draw = Draw(mix(seed));
        let mut rules = Vec::new();
        for _ in 0..1 + draw.below(3) {
            match draw.below(8) {
                0..=4 => rules.push(request_fault(&mut draw)),
                5 | 6 => rules.push(watch_fault(&mut draw)),
                _ => rules.extend(stale_restart(&mut draw)),
            }
        }
        Self { seed, rules }
    }
}

fn request_fault(draw: &mut Draw) -> Rule {
    let (verb, resource, many) = draw.one(&REQUESTS);
    let when = When::Nth {
        first: draw.index(many),
        times: 1 + draw.index(3),
    };
    let effect = match draw.below(12) {
        0 => Effect::Delay(draw.millis(200, 3000)),
        1 | 2 => Effect::Answer(draw.one(&[403, 429, 500, 503, 504])),
        3 | 4 => Effect::AnswerAfter(draw.one(&[500, 503, 504])),
        5 => Effect::LoseRequest,
        6 | 7 => Effect::LoseReply,
        8 | 9 => Effect::KillBefore,
        10 => Effect::KillAfter,
        _ => Effect::Hang,
    };
    // A Lease or a search that cannot be read ends the operator; restarts are not part of these plans.
    let effect = match effect {
        Effect::Answer(403) if verb != Verb::Create => Effect::Answer(503),
        effect => effect,
    };
    Rule::on(verb, resource, when, effect)
}

fn watch_fault(draw: &mut Draw) -> Rule {
    let resource = draw.one(&WATCHED);
    let seed = draw.below(u64::MAX);
    let come = draw.index(30);
    let change = match draw.below(6) {
        0 => Change::Lag(draw.millis(300, 4000)),
        1 => Change::Twice,
        2 => Change::Shuffled(seed),
        3 => Change::Missed {
            come,
            time: draw.millis(500, 6000),
        },
        4 => Change::Cut(come),
        _ => Change::Expired,
    };
    let when = When::Nth {
        first: draw.index(2),
        times: 1 + draw.index(2),
    };
    Rule::on(Verb::Watch, resource, when, Effect::Events(change))
}

/// The operator is killed, and its successor's lists stay stale for long.
fn stale_restart(draw: &mut Draw) -> Vec<Rule> {
    let kept = draw.index(6);
    let killed = kept + 1 + draw.index(6);
    let lag = draw.millis(500, 4000);
    let (verb, resource) = draw.one(&[
        (Verb::Create, "jobs"),
        (Verb::Update, "peftsearches/status"),
    ]);
    let mut rules = vec![
        Rule::on(verb, resource, When::only(kept), Effect::Keep),
        Rule::on(verb, resource, When::only(killed), Effect::KillAfter),
    ];
    // The first LIST is that of the first process.
    let second = When::only(1);
    for resource in WATCHED {
        rules.push(Rule::on(Verb::List, resource, second, Effect::OldList));
        let late = Effect::Events(Change::Lag(lag));
        rules.push(Rule::on(Verb::Watch, resource, second, late));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_plan_and_seeds_differ() {
        let plans: Vec<Plan> = (0..100).map(Plan::of).collect();
        for plan in &plans {
            assert_eq!(plan.rules, Plan::of(plan.seed).rules);
            assert!(!plan.rules.is_empty());
        }
        let mut texts: Vec<String> = plans
            .iter()
            .map(|plan| format!("{:?}", plan.rules))
            .collect();
        texts.sort();
        texts.dedup();
        assert!(texts.len() > 95, "{} different plans", texts.len());
    }
}
