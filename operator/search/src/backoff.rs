//! When failed work is retried, and what is reported meanwhile. No clock: the time is an argument.
//!
//! Nothing here outlives the process: a new one retries at once.

use std::collections::BTreeMap;
use std::time::Duration;

use autopeft_crds::status::LedgerEntry;
use k8s_openapi::jiff::Timestamp;

use crate::patience::Patience;
use crate::trouble::Trouble;

/// What a Job carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// It inspects model and data before the search begins.
    Inspection,
    /// It trains a trial.
    Trial(u32),
}

/// How an attempt was interrupted through no fault of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Its pod ran and was evicted, preempted or suspended: why.
    Evicted(String),
    /// A node rejected its pod before its container began: why.
    Rejected(String),
}

/// A trial that was evicted more often than this backs off, and is reported.
const EVICTED_OFTEN: u32 = 3;

/// An interrupted attempt after which the next is not started at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// What was interrupted.
    pub work: Work,
    /// The UID of its Job.
    pub job: String,
    /// What to report.
    pub trouble: Trouble,
    /// How many in a row there were at least.
    pub at_least: u32,
}

impl Setback {
    /// What the interruption of a trial's current attempt means for the next; `None` if that is started at
    /// once. `job` is the name and the UID of the attempt's Job.
    pub fn of(
        entry: &LedgerEntry,
        (name, uid): (&str, &str),
        interruption: &Interruption,
    ) -> Option<Self> {
        let (trouble, at_least) = match interruption {
            Interruption::Evicted(why) => {
                // A few evictions are normal.
                let before = (entry.attempt - 1).saturating_sub(entry.failed_attempts);
                let at_least = before.checked_sub(EVICTED_OFTEN)? + 1;
                let message = format!(
                    "{} attempts of trial {} were interrupted, the last one because: {why}",
                    before + 1,
                    entry.trial
                );
                (Trouble::new("TrialInterrupted", message), at_least)
            }
            Interruption::Rejected(why) => {
                let message = format!("a node rejected the pod of the Job {name}: {why}");
                (Trouble::new("PodRejected", message), 1)
            }
        };
        Some(Self {
            work: Work::Trial(entry.trial),
            job: uid.to_owned(),
            trouble,
            at_least,
        })
    }
}

/// The back-off after failures in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Backoff {
    count: u32,
    since: Timestamp,
    length: Duration,
}

impl Backoff {
    /// The remaining time. The clock may have been set back.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let elapsed = now.duration_since(self.since).unsigned_abs();
        self.length
            .checked_sub(elapsed)
            .filter(|left| !left.is_zero())
    }
}

/// The latest setback of one kind of work under one spec.
#[derive(Clone, Debug)]
struct LastSetback {
    trouble: Trouble,
    backoff: Backoff,
    /// The UID of the last Job.
    job: String,
    /// The generation of the spec.
    generation: Option<i64>,
}

/// The back-offs of one search.
#[derive(Clone, Debug)]
pub struct Backoffs {
    patience: Patience,
    /// The last refusal to create a Job.
    refusal: Option<(Trouble, Backoff)>,
    setbacks: BTreeMap<Work, LastSetback>,
    /// The engine's last failure.
    engine: Option<(Trouble, Backoff)>,
    /// Attempts of the shell itself, such as a reconcile, that failed in a row.
    shell: Option<Backoff>,
}

impl Backoffs {
    /// None.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            refusal: None,
            setbacks: BTreeMap::new(),
            engine: None,
            shell: None,
        }
    }

    fn backoff(&self, before: Option<u32>, at_least: u32, now: Timestamp) -> Backoff {
        let count = before.map_or(1, |count| count.saturating_add(1));
        let count = count.max(at_least);
        Backoff {
            count,
            since: now,
            length: self.patience.pause(count),
        }
    }

    /// Records that the API server refused to create a Job.
    pub fn creation_refused(&mut self, trouble: Trouble, now: Timestamp) {
        let before = self.refusal.as_ref().map(|(_, backoff)| backoff.count);
        self.refusal = Some((trouble, self.backoff(before, 0, now)));
    }

    /// Records that a Job was created, or that none is to be created any more.
    pub fn creation_allowed(&mut self) {
        self.refusal = None;
    }

    /// Records a setback, once for each Job.
    pub fn add_setback(&mut self, setback: &Setback, generation: Option<i64>, now: Timestamp) {
        let Setback {
            work,
            job,
            trouble,
            at_least,
        } = setback;
        let last = self.setbacks.get(work);
        if last.is_some_and(|last| last.job == *job) {
            return;
        }
        let backoff = self.backoff(last.map(|last| last.backoff.count), *at_least, now);
        let latest = LastSetback {
            trouble: trouble.clone(),
            backoff,
            job: job.clone(),
            generation,
        };
        self.setbacks.insert(*work, latest);
    }

    /// Keeps only the setbacks of this spec: a changed one may be fixed, and is tried at once.
    pub fn keep_setbacks_of(&mut self, generation: Option<i64>) {
        self.setbacks
            .retain(|_, last| last.generation == generation);
    }

    /// Keeps only the setbacks of open trials.
    pub fn keep_setbacks_while(&mut self, is_open: impl Fn(u32) -> bool) {
        self.setbacks
            .retain(|work, _| matches!(work, Work::Trial(trial) if is_open(*trial)));
    }

    /// Records that a Job's container has started: setbacks of earlier Jobs are over.
    pub fn has_begun(&mut self, work: Work, job: &str) {
        self.setbacks
            .retain(|of, last| *of != work || last.job == job);
    }

    /// The troubles with the engine, the API server and the nodes, for the user.
    pub fn troubles(&self) -> Vec<Trouble> {
        let engine = self.engine.iter().map(|(trouble, _)| trouble);
        let refusal = self.refusal.iter().map(|(trouble, _)| trouble);
        let setbacks = self.setbacks.values().map(|last| &last.trouble);
        engine.chain(refusal).chain(setbacks).cloned().collect()
    }

    /// How long until a Job for this work may be created.
    pub fn left(&self, work: Work, now: Timestamp) -> Option<Duration> {
        let refusal = self.refusal.iter().map(|(_, backoff)| backoff);
        let setback = self.setbacks.get(&work).map(|last| &last.backoff);
        refusal
            .chain(setback)
            .filter_map(|backoff| backoff.left(now))
            .max()
    }

    /// How long until the first back-off ends.
    pub fn shortest(&self, now: Timestamp) -> Option<Duration> {
        let refusal = self.refusal.iter().map(|(_, backoff)| backoff);
        let setbacks = self.setbacks.values().map(|last| &last.backoff);
        let engine = self.engine.iter().map(|(_, backoff)| backoff);
        refusal
            .chain(setbacks)
            .chain(engine)
            .filter_map(|backoff| backoff.left(now))
            .min()
    }

    /// Records that the engine failed.
    pub fn engine_failed(&mut self, trouble: Trouble, now: Timestamp) {
        let before = self.engine.as_ref().map(|(_, backoff)| backoff.count);
        self.engine = Some((trouble, self.backoff(before, 0, now)));
    }

    /// Records that the engine succeeded.
    pub fn engine_succeeded(&mut self) {
        self.engine = None;
    }

    /// Whether the engine failed and its back-off is over.
    pub fn engine_may_retry(&self, now: Timestamp) -> bool {
        let mut failed = self.engine.iter();
        failed.any(|(_, backoff)| backoff.left(now).is_none())
    }

    /// Records that the shell failed, and returns its back-off, at most `most`. A retry during a back-off,
    /// because something has changed, does not extend it.
    pub fn shell_failed(&mut self, most: Duration, now: Timestamp) -> Duration {
        if let Some(last) = &self.shell
            && let Some(left) = last.left(now)
        {
            return left.min(most);
        }
        let mut backoff = self.backoff(self.shell.map(|last| last.count), 0, now);
        backoff.length = backoff.length.min(most);
        self.shell = Some(backoff);
        backoff.length
    }

    /// Whether the shell failed since it last succeeded.
    pub fn is_failing(&self) -> bool {
        self.shell.is_some()
    }

    /// Records that the shell succeeded.
    pub fn shell_succeeded(&mut self) {
        self.shell = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("a time")
    }

    fn trouble(message: &str) -> Trouble {
        Trouble::new("QuotaExceeded", message)
    }

    fn setback(job: &str, at_least: u32) -> Setback {
        Setback {
            work: Work::Trial(3),
            job: job.into(),
            trouble: trouble(job),
            at_least,
        }
    }

    fn left(backoffs: &Backoffs, work: Work, second: i64) -> Option<u64> {
        backoffs.left(work, at(second)).map(|left| left.as_secs())
    }

    #[test]
    fn a_refusal_pauses_all_work_twice_as_long_each_time() {
        let mut backoffs = Backoffs::new(Patience::default());
        backoffs.creation_refused(trouble("full"), at(0));
        assert_eq!(left(&backoffs, Work::Inspection, 0), Some(2));
        assert_eq!(left(&backoffs, Work::Trial(0), 1), Some(1));
        assert_eq!(left(&backoffs, Work::Trial(0), 2), None);
        backoffs.creation_refused(trouble("full"), at(2));
        assert_eq!(left(&backoffs, Work::Trial(7), 2), Some(4));
        assert_eq!(backoffs.troubles(), [trouble("full")]);
        backoffs.creation_allowed();
        assert_eq!(left(&backoffs, Work::Trial(7), 2), None);
        assert_eq!(backoffs.troubles(), []);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_a_pause() {
        let mut backoffs = Backoffs::new(Patience::default());
        backoffs.creation_refused(trouble("full"), at(0));
        assert_eq!(left(&backoffs, Work::Inspection, -3600), None);
    }

    #[test]
    fn a_setback_counts_once_for_each_job_and_only_for_its_work_and_its_spec() {
        let mut backoffs = Backoffs::new(Patience::default());
        for second in 0..2 {
            backoffs.add_setback(&setback("a", 1), Some(1), at(second));
        }
        assert_eq!(left(&backoffs, Work::Trial(3), 1), Some(1));
        assert_eq!(left(&backoffs, Work::Trial(4), 1), None);
        backoffs.add_setback(&setback("b", 1), Some(1), at(2));
        assert_eq!(left(&backoffs, Work::Trial(3), 2), Some(4));
        backoffs.has_begun(Work::Trial(3), "b");
        assert_eq!(backoffs.troubles(), [trouble("b")], "it is the last one");
        backoffs.has_begun(Work::Trial(3), "c");
        assert_eq!(backoffs.troubles(), []);
        backoffs.add_setback(&setback("d", 5), Some(1), at(2));
        assert_eq!(left(&backoffs, Work::Trial(3), 2), Some(32));
        backoffs.keep_setbacks_of(Some(2));
        assert_eq!(left(&backoffs, Work::Trial(3), 2), None);
    }

    #[test]
    fn a_failed_engine_is_asked_again_after_a_pause() {
        let mut backoffs = Backoffs::new(Patience::default());
        assert!(!backoffs.engine_may_retry(at(0)), "it has not failed");
        backoffs.engine_failed(trouble("singular"), at(0));
        assert!(!backoffs.engine_may_retry(at(1)));
        assert_eq!(backoffs.shortest(at(1)), Some(Duration::from_secs(1)));
        assert!(backoffs.engine_may_retry(at(2)));
        backoffs.engine_succeeded();
        assert_eq!(backoffs.troubles(), []);
    }

    #[test]
    fn what_is_tried_during_a_pause_makes_it_no_longer() {
        let mut backoffs = Backoffs::new(Patience::default());
        let away = Duration::from_secs(8);
        assert_eq!(backoffs.shell_failed(away, at(0)), Duration::from_secs(2));
        assert_eq!(backoffs.shell_failed(away, at(1)), Duration::from_secs(1));
        assert_eq!(backoffs.shell_failed(away, at(2)), Duration::from_secs(4));
        assert_eq!(backoffs.shell_failed(away, at(6)), away);
        assert_eq!(backoffs.shell_failed(away, at(14)), away);
        backoffs.shell_succeeded();
        assert_eq!(backoffs.shell_failed(away, at(15)), Duration::from_secs(2));
    }
}
