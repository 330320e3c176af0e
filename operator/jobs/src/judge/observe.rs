//! The state of a search's runs for the planner, from its Jobs and pods. No I/O: the objects come from the
//! caches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::limits::MESSAGE;
use autopeft_crds::run::Expected;
use autopeft_crds::status::{Attempt, LedgerEntry};
use autopeft_crds::trial::{FailureReason, TrialOutcome};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::messages::in_words;
use super::outcome::{self, Seen, UnclearEnd, unclear_end};
use super::pod;
use crate::build::job;
use crate::build::names::{self, Work};
use autopeft_search::backoff::{Interruption, Setback};
use autopeft_search::ledger::Ledger;
use autopeft_search::patience::Patience;
use autopeft_search::planner::{End, Run, RunState};
use autopeft_search::request;
use autopeft_search::trouble::Trouble;

/// The objects of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// Name and UID of its Job.
    pub job: Option<(String, String)>,
    /// The pods with our finalizer.
    pub held: Vec<String>,
}

/// The observed state of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The runs, for the planner.
    pub runs: Vec<Run>,
    /// Jobs of the search that are not in the ledger yet, with their UIDs.
    pub adopted: Vec<(Attempt, String)>,
    /// Runs whose Job is in the ledger but not in the cache: the caller asks the API server.
    pub missing: Vec<Attempt>,
    /// Why runs are waiting.
    pub troubles: Vec<Trouble>,
    /// Interrupted attempts after which the next is not started at once.
    pub setbacks: Vec<Setback>,
    /// Trials whose container has started, with the UIDs of their Jobs.
    pub begun: Vec<(u32, String)>,
    /// Runs whose end is unclear.
    pub unclear: BTreeSet<Attempt>,
    /// Those that have been unclear for too long: the caller asks the API server for their pods.
    pub unconfirmed: Vec<Attempt>,
    /// When the next timeout passes.
    pub wake: Option<Timestamp>,
    /// The objects of each run.
    pub objects: BTreeMap<Attempt, Objects>,
}

/// The input of `observe`.
#[derive(Debug)]
pub struct View<'a> {
    /// The search's name.
    pub name: &'a str,
    /// The search's UID.
    pub uid: &'a str,
    /// The ledger.
    pub ledger: &'a Ledger,
    /// Its spec.
    pub spec: &'a PeftSearchSpec,
    /// The Jobs of the namespace with this search's labels or names.
    pub jobs: &'a [Arc<Job>],
    /// This search's pods.
    pub pods: &'a [Arc<Pod>],
    /// UIDs of Jobs that were created a moment ago and may not be in the cache yet.
    pub created: &'a BTreeMap<String, Timestamp>,
    /// Runs whose Job is gone, according to the API server.
    pub gone: &'a BTreeSet<Attempt>,
    /// Runs whose Job's name is taken by another owner's Job.
    pub conflicts: &'a BTreeSet<Attempt>,
    /// Since when the end of each unclear run has been so.
    pub unclear: &'a BTreeMap<Attempt, Timestamp>,
    /// Attempts whose pods were read from the API server, not from a cache.
    pub confirmed: &'a BTreeSet<(Work, u32)>,
    /// The timeouts.
    pub patience: &'a Patience,
    /// The time.
    pub now: Timestamp,
}

impl View<'_> {
    fn is_new(&self, job_uid: &str) -> bool {
        let created = self.created.get(job_uid);
        created.is_some_and(|at| self.now.duration_since(*at).unsigned_abs() < self.patience.cached)
    }
}

/// Observes a search. `wanted` gives the Job that a run should have.
pub fn observe(view: &View<'_>, wanted: impl Fn(Attempt) -> Job) -> Observed {
    let mut observed = Observed {
        objects: objects(view),
        ..Observed::default()
    };
    let runs: BTreeSet<Attempt> = view.ledger.open().map(LedgerEntry::run_id).collect();
    for run in runs {
        let members: Vec<&LedgerEntry> = view.ledger.members(run).collect();
        let members = Members {
            run,
            entries: &members,
        };
        if let Some(state) = state_of(view, &members, &wanted, &mut observed) {
            let adopted = observed.adopted.iter().find(|(key, _)| *key == run);
            let uid = members.job_uid().or(adopted.map(|(_, uid)| uid));
            let pods = uid.map(|uid| pods_controlled_by(view, uid));
            let pods = pods.unwrap_or_default();
            if let Some(uid) = uid.filter(|_| pods.iter().any(|pod| pod::has_started(pod))) {
                observed.begun.push((run.trial, uid.clone()));
            }
            observed.runs.push(Run {
                id: run,
                members: members
                    .entries
                    .iter()
                    .map(|entry| entry.current_attempt())
                    .collect(),
                state,
                gpu_seconds: pod::gpu_seconds(&pods, view.now),
            });
        }
    }
    // Objects of runs that are not open; the planner removes them.
    let seen: BTreeSet<Attempt> = observed.runs.iter().map(|run| run.id).collect();
    for run in observed.objects.keys().filter(|key| !seen.contains(key)) {
        observed.runs.push(Run {
            id: *run,
            members: vec![*run],
            state: RunState::interrupted(1),
            gpu_seconds: None,
        });
    }
    observed
}

/// A run with its trials.
struct Members<'a> {
    run: Attempt,
    /// At least one of them is open.
    entries: &'a [&'a LedgerEntry],
}

impl<'a> Members<'a> {
    fn open(&self) -> impl Iterator<Item = &'a LedgerEntry> {
        let open = |entry: &&LedgerEntry| !entry.state.is_final();
        self.entries.iter().copied().filter(open)
    }

    /// The UID of the run's Job, once it is recorded.
    fn job_uid(&self) -> Option<&'a String> {
        self.open().find_map(|entry| entry.job_uid.as_ref())
    }

    /// The UID of the run's Job: of the one that is recorded, or of the one that was found.
    fn uid<'b>(&'b self, found: Option<&'b Arc<Job>>) -> &'b str {
        let found = found.and_then(|job| job.metadata.uid.as_ref());
        self.job_uid().or(found).map_or("", String::as_str)
    }

    fn interrupted(&self) -> RunState {
        RunState::interrupted(self.entries.len())
    }
}

/// Every run that has a Job of the right name and owner, or a pod with our finalizer.
fn objects(view: &View<'_>) -> BTreeMap<Attempt, Objects> {
    let mut found: BTreeMap<Attempt, Objects> = BTreeMap::new();
    for job in view.jobs {
        let metadata = &job.metadata;
        let name = metadata.name.clone().unwrap_or_default();
        let of_job = names::attempt_of_job(&name, view.name, view.uid);
        let Some((Work::Trial(trial), attempt)) = of_job else {
            continue;
        };
        if !names::is_our_job(job, view.name, view.uid) {
            continue;
        }
        let uid = metadata.uid.clone().unwrap_or_default();
        let run = Attempt { trial, attempt };
        found.entry(run).or_default().job = Some((name, uid));
    }
    for pod in view.pods {
        let metadata = &pod.metadata;
        let of_pod = names::attempt_of_pod(metadata, view.name, view.uid);
        if let Some((Work::Trial(trial), attempt)) = of_pod
            && names::is_held(metadata)
            && let Some(name) = &metadata.name
        {
            let objects = found.entry(Attempt { trial, attempt }).or_default();
            objects.held.push(name.clone());
        }
    }
    found
}

/// The state of a run; `None` if it has no objects.
fn state_of(
    view: &View<'_>,
    members: &Members<'_>,
    wanted: &impl Fn(Attempt) -> Job,
    observed: &mut Observed,
) -> Option<RunState> {
    let run = members.run;
    let work = Work::Trial(run.trial);
    let name = names::job_name(view.name, view.uid, work, run.attempt);
    let job = view
        .jobs
        .iter()
        .find(|job| job.metadata.name.as_ref() == Some(&name));
    let uid = job.and_then(|job| job.metadata.uid.clone());
    let objects = observed.objects.get(&run);
    let is_held = objects.is_some_and(|objects| !objects.held.is_empty());
    let seen = match (members.job_uid(), job) {
        (None, None) if view.conflicts.contains(&run) => {
            return Some(conflict(&name, members));
        }
        // A pod whose Job is not in the cache: the cache of Jobs may lag behind that of pods.
        (None, None) if is_held && !view.gone.contains(&run) => {
            observed.missing.push(run);
            return Some(RunState::Running { since: view.now });
        }
        (None, None) => return None,
        (None, Some(job)) => {
            let uid = uid.unwrap_or_default();
            let is_ours = names::is_our_job(job, view.name, view.uid);
            let is_it = view.created.contains_key(&uid) || job::is_the_same(job, &wanted(run));
            match (is_ours, is_it) {
                (true, true) => observed.adopted.push((run, uid)),
                // The spec has changed before the Job could be recorded.
                (true, false) => return Some(members.interrupted()),
                (false, _) => return Some(conflict(&name, members)),
            }
            outcome::see(job, &pods_of(view, job), view.patience, view.now)
        }
        (Some(noted), Some(job)) if Some(noted) == uid.as_ref() => {
            outcome::see(job, &pods_of(view, job), view.patience, view.now)
        }
        (Some(noted), _) => {
            let orphans = pods_controlled_by(view, noted);
            let (is_new, is_gone) = (view.is_new(noted), view.gone.contains(&run));
            if !is_new && !is_gone {
                observed.missing.push(run);
                Seen::Running
            } else if !orphans.is_empty() {
                outcome::see_orphan(&orphans, view.patience, view.now)
            } else if is_new {
                Seen::Running
            } else {
                let message = format!("the Job {name} was deleted");
                Seen::Ended(outcome::Ending::Without(FailureReason::Lost, message))
            }
        }
    };
    // The user may have fixed what it waits for.
    let is_outdated = || job.is_some_and(|job| job::is_outdated(job, &wanted(run)));
    if matches!(seen, Seen::Waiting(_)) && is_outdated() {
        return Some(members.interrupted());
    }
    Some(judged(view, members, (&name, job), seen, observed))
}

/// The state of a run from what was seen of its Job and pods.
fn judged(
    view: &View<'_>,
    members: &Members<'_>,
    (name, job): (&str, Option<&Arc<Job>>),
    seen: Seen,
    observed: &mut Observed,
) -> RunState {
    let run = members.run;
    match seen {
        Seen::Running => RunState::Running { since: view.now },
        Seen::Waiting(trouble) => {
            observed.troubles.push(trouble);
            RunState::Running { since: view.now }
        }
        Seen::Unclear { patience, then } => {
            observed.unclear.insert(run);
            let since = view.unclear.get(&run).copied().unwrap_or(view.now);
            let is_confirmed = view
                .confirmed
                .contains(&(Work::Trial(run.trial), run.attempt));
            match unclear_end(since, patience, is_confirmed, view.now) {
                UnclearEnd::Wait(until) => {
                    observed.wake = Some(observed.wake.map_or(until, |wake| wake.min(until)));
                    RunState::Running { since: view.now }
                }
                UnclearEnd::Confirm => {
                    observed.unconfirmed.push(run);
                    RunState::Running { since: view.now }
                }
                UnclearEnd::Settled => match then {
                    Some(ending) => ended(view, members, job, ending),
                    None => RunState::Running { since: view.now },
                },
            }
        }
        Seen::Ended(ending) => ended(view, members, job, ending),
        Seen::Evicted(why) => {
            let evicted = Interruption::Evicted(why);
            interrupted(view, members, (name, job), &evicted, observed)
        }
        Seen::Rejected(why) => {
            let rejected = Interruption::Rejected(why);
            interrupted(view, members, (name, job), &rejected, observed)
        }
    }
}

/// A run that was interrupted; its trials that had ended before have their outcomes.
fn interrupted(
    view: &View<'_>,
    members: &Members<'_>,
    (name, job): (&str, Option<&Arc<Job>>),
    interruption: &Interruption,
    observed: &mut Observed,
) -> RunState {
    let uid = members.uid(job);
    let left = outcome::left_by_terminated(&pods_controlled_by(view, uid));
    let state = outcome::interrupted(left.as_deref(), &expected(view, members));
    if let RunState::Ended(ends) = &state {
        let ends = members.entries.iter().zip(ends);
        let without =
            ends.filter(|(entry, end)| !entry.state.is_final() && **end == End::Interrupted);
        let setback =
            |(entry, _): (&&LedgerEntry, _)| Setback::of(entry, (name, uid), interruption);
        observed.setbacks.extend(without.filter_map(setback));
    }
    state
}

/// The outcomes that a run should have.
fn expected(view: &View<'_>, members: &Members<'_>) -> Vec<Expected> {
    let expected = |entry: &&LedgerEntry| request::expected(view.spec, view.uid, entry);
    members.entries.iter().map(expected).collect()
}

fn ended(
    view: &View<'_>,
    members: &Members<'_>,
    job: Option<&Arc<Job>>,
    ending: outcome::Ending,
) -> RunState {
    let left = outcome::left_by_terminated(&pods_controlled_by(view, members.uid(job)));
    let in_words = |end| match end {
        End::Outcome(TrialOutcome::Failed { reason, message }) => {
            let message = in_words(&message, view.spec)
                .chars()
                .take(MESSAGE)
                .collect();
            End::Outcome(TrialOutcome::Failed { reason, message })
        }
        other => other,
    };
    match outcome::outcomes(ending, left.as_deref(), &expected(view, members)) {
        RunState::Ended(ends) => RunState::Ended(ends.into_iter().map(in_words).collect()),
        running @ RunState::Running { .. } => running,
    }
}

/// Another owner's Job has our Job's name: the attempt is lost, the next has another name.
fn conflict(name: &str, members: &Members<'_>) -> RunState {
    let outcomes = members.entries.iter().map(|_| Err(())).collect();
    RunState::ended(outcomes, |()| {
        End::Outcome(TrialOutcome::Failed {
            reason: FailureReason::Conflict,
            message: format!("a Job {name} of another owner exists; delete it"),
        })
    })
}

fn pods_of<'a>(view: &View<'a>, job: &Job) -> Vec<&'a Pod> {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    pods_controlled_by(view, uid)
}

fn pods_controlled_by<'a>(view: &View<'a>, job_uid: &str) -> Vec<&'a Pod> {
    view.pods
        .iter()
        .map(AsRef::as_ref)
        .filter(|pod| names::is_pod_of(&pod.metadata, job_uid))
        .collect()
}
