//! A fault: which requests it applies to, and its effect. Plain data, so that fault plans can be generated, printed and
//! repeated.

use std::time::Duration;

use hyper::{Method, Uri};

use super::chance::mix;
use super::stream::Change;

/// The verb of a request, as Kubernetes names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads all objects.
    List,
    /// Streams changes.
    Watch,
    /// Creates an object.
    Create,
    /// Replaces an object.
    Update,
    /// Patches an object.
    Patch,
    /// Deletes an object.
    Delete,
}

/// The part of a request that rules match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The verb.
    pub verb: Verb,
    /// The resource, such as `jobs` or `peftsearches/status`.
    pub resource: String,
}

impl Asked {
    /// Reads a request's first line.
    pub fn of(method: &Method, uri: &Uri) -> Self {
        let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        // /api/VERSION or /apis/GROUP/VERSION, then the namespace if there is one.
        let skipped = if parts.first() == Some(&"api") { 2 } else { 3 };
        let rest = parts.get(skipped..).unwrap_or_default();
        let rest = match rest {
            ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
            rest => rest,
        };
        let (kind, name, part) = (rest.first(), rest.get(1), rest.get(2));
        let mut resource = kind.copied().unwrap_or_default().to_owned();
        if let Some(part) = part {
            resource = format!("{resource}/{part}");
        }
        let query = uri.query().unwrap_or_default();
        let watches = query
            .split('&')
            .any(|pair| pair == "watch=true" || pair == "watch=1");
        let verb = match *method {
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
            _ if watches => Verb::Watch,
            _ if name.is_some() => Verb::Get,
            _ => Verb::List,
        };
        Self { verb, resource }
    }
}

/// Which of the matching requests a rule applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A number of `times` from the `first` on, counted from 0.
    Nth {
        /// The first one.
        first: usize,
        /// How many.
        times: usize,
    },
    /// Each with this probability.
    Percent {
        /// In percent.
        chance: u64,
        /// The seed.
        seed: u64,
    },
}

impl When {
    /// Only the `first`.
    pub fn only(first: usize) -> Self {
        Self::Nth { first, times: 1 }
    }

    /// All.
    pub fn always() -> Self {
        Self::Nth {
            first: 0,
            times: usize::MAX,
        }
    }

    /// Whether the rule applies to the `count`-th request.
    pub fn strikes(self, count: usize) -> bool {
        match self {
            Self::Nth { first, times } => count >= first && count - first < times,
            Self::Percent { chance, seed } => mix(seed ^ mix(count as u64)) % 100 < chance,
        }
    }
}

/// The effect on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is delayed.
    Delay(Duration),
    /// It is answered with this HTTP status and never carried out.
    Answer(u16),
    /// It is carried out and answered with this HTTP status.
    AnswerAfter(u16),
    /// The connection ends; it is never carried out.
    LoseRequest,
    /// It is carried out; the connection ends without an answer.
    LoseReply,
    /// It is not answered, and the connection stays open.
    Hang,
    /// The operator is killed before it is carried out.
    KillBefore,
    /// The operator is killed after it was carried out, before the response.
    KillAfter,
    /// The current responses to the operator's LISTs are recorded for `OldList`.
    Keep,
    /// A LIST is answered with the recorded response.
    OldList,
    /// The events of a watch are changed.
    Events(Change),
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The verb; any if `None`.
    pub verb: Option<Verb>,
    /// The resource; any if `None`.
    pub resource: Option<&'static str>,
    /// Which of the matching requests.
    pub when: When,
    /// The effect.
    pub effect: Effect,
}

impl Rule {
    /// A fault of one verb and resource.
    pub fn on(verb: Verb, resource: &'static str, when: When, effect: Effect) -> Self {
        Self {
            verb: Some(verb),
            resource: Some(resource),
            when,
            effect,
        }
    }

    /// A fault of any request.
    pub fn on_any(when: When, effect: Effect) -> Self {
        Self {
            verb: None,
            resource: None,
            when,
            effect,
        }
    }

    /// Whether a request matches.
    pub fn speaks_of(&self, asked: &Asked) -> bool {
        self.verb.is_none_or(|verb| verb == asked.verb)
            && self
                .resource
                .is_none_or(|resource| resource == asked.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_the_api_server_reads_them() {
        let check = |method: Method, path: &str, verb: Verb, resource: &str| {
            let uri: Uri = path.parse().expect("an address");
            let asked = Asked::of(&method, &uri);
            let expected = Asked {
                verb,
                resource: resource.into(),
            };
            assert_eq!(asked, expected, "{method} {path}");
        };
        let get = Method::GET;
        let jobs = "/apis/batch/v1/namespaces/n/jobs";
        check(get.clone(), jobs, Verb::List, "jobs");
        check(get.clone(), &format!("{jobs}/a"), Verb::Get, "jobs");
        check(
            get.clone(),
            &format!("{jobs}?a=b&watch=true"),
            Verb::Watch,
            "jobs",
        );
        check(get, "/api/v1/pods", Verb::List, "pods");
        check(Method::POST, jobs, Verb::Create, "jobs");
        check(Method::DELETE, &format!("{jobs}/a"), Verb::Delete, "jobs");
        check(
            Method::PATCH,
            "/api/v1/namespaces/n/pods/p",
            Verb::Patch,
            "pods",
        );
        let status = "/apis/autopeft.dev/v1alpha1/namespaces/n/peftsearches/x/status";
        check(Method::PUT, status, Verb::Update, "peftsearches/status");
    }

    #[test]
    fn a_rule_strikes_as_often_as_it_says() {
        let when = When::Nth { first: 2, times: 3 };
        let struck: Vec<usize> = (0..10).filter(|count| when.strikes(*count)).collect();
        assert_eq!(struck, [2, 3, 4]);
        let rare = When::Percent { chance: 5, seed: 1 };
        let struck = (0..10_000).filter(|count| rare.strikes(*count)).count();
        assert!((400..600).contains(&struck), "{struck} of 10,000");
    }
}
