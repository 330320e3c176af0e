//! The operator's load on the API server, from the audit log: its writes and reads per trial, and the time from a
//! trial's end to the next Job. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// Whose requests are counted, and of which search.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The operator's user.
    pub user: &'a str,
    /// The search's namespace, in which there is no other.
    pub namespace: &'a str,
    /// The number of concurrent trials.
    pub parallelism: usize,
    /// When each trial's configuration was known, without trials of the initial design, whose configurations depend on no
    /// result.
    pub suggested: BTreeMap<u32, Timestamp>,
}

/// From the end of a trial to the next Job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wait {
    /// The trial whose Job was created.
    pub trial: u32,
    /// From the write that made the pod terminated to the Job's creation.
    pub seconds: f64,
    /// Whether the configuration was known when the other trial ended.
    pub ready: bool,
}

/// The requests and waits of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// The operator's writes by kind, such as `create jobs`.
    pub writes: BTreeMap<String, usize>,
    /// Its reads outside of watches, by kind. The list at the start of a watch is not counted.
    pub reads: BTreeMap<String, usize>,
    /// One per Job that replaced another.
    pub waits: Vec<Wait>,
}

impl Cost {
    /// The waits of one kind, the shortest first.
    pub fn seconds(&self, ready: bool) -> Vec<f64> {
        let waits = self.waits.iter().filter(|wait| wait.ready == ready);
        let mut seconds: Vec<f64> = waits.map(|wait| wait.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }
}

/// A quantile of sorted numbers (nearest rank).
pub fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Computes the cost from the events of one audit log, in any order.
pub fn cost(events: &[Value], subject: &Subject<'_>) -> Cost {
    let mut done: Vec<Event<'_>> = events.iter().filter_map(Event::read).collect();
    done.retain(|event| event.namespace == subject.namespace);
    done.sort_by_key(|event| event.time);
    let ours = |event: &&Event<'_>| event.user == subject.user;
    let ours: Vec<Event<'_>> = done.iter().filter(ours).copied().collect();
    let mut cost = Cost {
        waits: waits(&done, subject),
        ..Cost::default()
    };
    for (index, event) in ours.iter().enumerate() {
        let counts = match event.verb {
            "create" | "update" | "patch" | "delete" => &mut cost.writes,
            "get" => &mut cost.reads,
            "list" if !begins_watch(event, &ours[index..]) => &mut cost.reads,
            _ => continue,
        };
        *counts.entry(event.kind()).or_insert(0) += 1;
    }
    cost
}

/// The request of an audit event, if the API server carried it out.
#[derive(Clone, Copy, Debug)]
struct Event<'a> {
    time: Timestamp,
    user: &'a str,
    verb: &'a str,
    namespace: &'a str,
    resource: &'a str,
    subresource: &'a str,
    name: &'a str,
}

impl<'a> Event<'a> {
    fn read(event: &'a Value) -> Option<Self> {
        let verb = event["verb"].as_str()?;
        // A watch has an event at its start and one at its end.
        let stage = match verb {
            "watch" => "ResponseStarted",
            _ => "ResponseComplete",
        };
        if event["stage"] != stage || event["responseStatus"]["code"].as_u64()? >= 300 {
            return None;
        }
        let object = &event["objectRef"];
        let text = |field: &'static str| object[field].as_str().unwrap_or_default();
        Some(Self {
            time: event["stageTimestamp"].as_str()?.parse().ok()?,
            user: event["user"]["username"].as_str()?,
            verb,
            namespace: text("namespace"),
            resource: text("resource"),
            subresource: text("subresource"),
            name: text("name"),
        })
    }

    fn kind(&self) -> String {
        let Self {
            verb,
            resource,
            subresource,
            ..
        } = self;
        match *subresource {
            "" => format!("{verb} {resource}"),
            _ => format!("{verb} {resource}/{subresource}"),
        }
    }
}

/// Whether a list is followed by its watch.
fn begins_watch(list: &Event<'_>, following: &[Event<'_>]) -> bool {
    let mut same = following
        .iter()
        .skip(1)
        .filter(|event| event.resource == list.resource && event.name.is_empty());
    same.find(|event| event.verb == "list" || event.verb == "watch")
        .is_some_and(|event| event.verb == "watch")
}

/// The first trials fill the free slots; after that, the n-th end frees the slot of the n-th Job.
fn waits(done: &[Event<'_>], subject: &Subject<'_>) -> Vec<Wait> {
    let created: Vec<(u32, &Event<'_>)> = done
        .iter()
        .filter(|event| event.user == subject.user && event.kind() == "create jobs")
        .filter_map(|event| Some((trial_of(event.name)?, event)))
        .collect();
    let jobs: Vec<&str> = created.iter().map(|(_, event)| event.name).collect();
    // The last status of a pod is its end.
    let mut ends: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for event in done {
        let is_status = event.resource == "pods" && event.subresource == "status";
        let job = event.name.rsplit_once('-').map(|(job, _)| job);
        if is_status && event.user != subject.user && job.is_some_and(|job| jobs.contains(&job)) {
            ends.insert(event.name, event.time);
        }
    }
    let mut ends: Vec<Timestamp> = ends.into_values().collect();
    ends.sort_unstable();
    let successors = created.iter().skip(subject.parallelism);
    ends.into_iter()
        .zip(successors)
        .map(|(end, (trial, event))| Wait {
            trial: *trial,
            seconds: event.time.duration_since(end).as_secs_f64(),
            ready: subject.suggested.get(trial).is_none_or(|time| *time <= end),
        })
        .collect()
}

/// The trial of a Job by its name, `SEARCH-UID-TRIAL-ATTEMPT`; an inspection is none.
fn trial_of(job: &str) -> Option<u32> {
    job.rsplit('-').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An event of second `second` of a minute.
    fn event(second: f64, user: &str, request: &str, name: &str) -> Value {
        let (verb, kind) = request.split_once(' ').expect("a verb and a kind");
        let (resource, subresource) = kind.split_once('/').unwrap_or((kind, ""));
        let stage = if verb == "watch" {
            "ResponseStarted"
        } else {
            "ResponseComplete"
        };
        json!({
            "stage": stage,
            "stageTimestamp": format!("2026-01-01T00:00:{second:09.6}Z"),
            "verb": verb,
            "user": {"username": user},
            "objectRef": {
                "namespace": "lab", "resource": resource, "subresource": subresource, "name": name,
            },
            "responseStatus": {"code": 200},
        })
    }

    fn subject(parallelism: usize) -> Subject<'static> {
        Subject {
            user: "operator",
            namespace: "lab",
            parallelism,
            suggested: BTreeMap::new(),
        }
    }

    #[test]
    fn the_operators_own_writes_are_counted_by_kind() {
        let mut elsewhere = event(1.0, "operator", "create jobs", "x-1-0-1");
        elsewhere["objectRef"]["namespace"] = json!("other");
        let mut refused = event(1.0, "operator", "create jobs", "x-1-0-1");
        refused["responseStatus"]["code"] = json!(409);
        let mut begun = event(1.0, "operator", "create jobs", "x-1-0-1");
        begun["stage"] = json!("RequestReceived");
        let events = [
            event(1.0, "operator", "update peftsearches/status", "x"),
            event(2.0, "operator", "update peftsearches/status", "x"),
            event(3.0, "operator", "patch pods", "x-1-0-1-abcde"),
            event(4.0, "somebody", "delete jobs", "x-1-0-1"),
            elsewhere,
            refused,
            begun,
        ];
        let cost = cost(&events, &subject(1));
        let writes = [
            ("patch pods".to_owned(), 1),
            ("update peftsearches/status".to_owned(), 2),
        ];
        assert_eq!(cost.writes, writes.into());
        assert_eq!(cost.reads, BTreeMap::new());
    }

    #[test]
    fn a_list_counts_as_a_read_where_no_watch_goes_on_from_it() {
        let events = [
            event(1.0, "operator", "list jobs", ""),
            event(2.0, "operator", "get peftsearches", "x"),
            event(3.0, "operator", "watch jobs", ""),
            event(4.0, "operator", "list pods", ""),
            event(5.0, "operator", "list pods", ""),
            event(6.0, "operator", "watch pods", ""),
            event(7.0, "operator", "list jobs", ""),
        ];
        let reads = [
            ("get peftsearches".to_owned(), 1),
            ("list jobs".to_owned(), 1),
            ("list pods".to_owned(), 1),
        ];
        assert_eq!(cost(&events, &subject(1)).reads, reads.into());
    }

    #[test]
    fn each_end_is_followed_by_the_job_that_takes_its_place() {
        let events = [
            event(0.0, "operator", "create jobs", "x-1-i-1"),
            event(1.0, "kubelet", "patch pods/status", "x-1-i-1-abcde"),
            event(2.0, "operator", "create jobs", "x-1-0-1"),
            event(2.1, "operator", "create jobs", "x-1-1-1"),
            event(3.0, "kubelet", "patch pods/status", "x-1-0-1-abcde"),
            event(3.1, "kubelet", "patch pods/status", "x-1-1-1-abcde"),
            event(5.5, "kubelet", "patch pods/status", "x-1-1-1-abcde"),
            event(5.75, "operator", "create jobs", "x-1-2-1"),
            event(6.0, "kubelet", "patch pods/status", "x-1-0-1-abcde"),
            event(7.0, "operator", "create jobs", "x-1-3-1"),
        ];
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let suggested = [
            (2, at("2026-01-01T00:00:05Z")),
            (3, at("2026-01-01T00:00:06.5Z")),
        ];
        let subject = Subject {
            suggested: suggested.into(),
            ..subject(2)
        };
        let cost = cost(&events, &subject);
        let wait = |trial, seconds, ready| Wait {
            trial,
            seconds,
            ready,
        };
        assert_eq!(cost.waits, [wait(2, 0.25, true), wait(3, 1.0, false)]);
        assert_eq!(cost.seconds(true), [0.25]);
    }

    #[test]
    fn percentiles_are_numbers_that_were_measured() {
        let numbers: Vec<f64> = (1..=30).map(f64::from).collect();
        let found = [50, 90, 99, 100].map(|percent| percentile(&numbers, percent));
        assert_eq!(found, [Some(15.0), Some(27.0), Some(30.0), Some(30.0)]);
        assert_eq!(percentile(&[], 50), None);
    }
}
