//! What this process remembers of a search beside the object: nothing that may not be lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use autopeft_crds::PeftSearch;
use k8s_openapi::jiff::Timestamp;

use super::build::names::Purpose;
use super::engines::Step;
use super::judge::observe::Attempt;
use super::judge::outcome::Trouble;
use autopeft_search::ledger::BadInput;
use autopeft_search::planner::Engine;

/// How long a removal may take to show in the caches before it is asked for again.
const REMOVAL: Duration = Duration::from_secs(2);
/// The longest pause after a refusal.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What is remembered of one search.
#[derive(Debug)]
pub struct Memory {
    /// The object as the API server last answered; `None` until it was read live.
    pub written: Option<PeftSearch>,
    /// Where the engine stands.
    pub engine: Engine,
    /// The engine's step under way.
    pub step: Option<Step>,
    /// UIDs of Jobs that were created here, and when.
    pub created: BTreeMap<String, Timestamp>,
    /// Attempts whose Job the API server says is gone.
    pub gone: BTreeSet<Attempt>,
    /// Attempts whose Job's name is taken.
    pub taken: BTreeSet<Attempt>,
    /// Since when the end of an attempt has not been clear.
    pub unclear: BTreeMap<Attempt, Timestamp>,
    /// Since when the end of the inspection has not been clear.
    pub inspection_unclear: Option<Timestamp>,
    /// What a trial found of the input, until the spec changes.
    pub bad_input: Option<(Option<i64>, BadInput)>,
    /// Jobs that came to nothing through what is around them.
    setbacks: BTreeMap<Purpose, Setbacks>,
    /// The last refusal to create something.
    pub refusal: Option<Refusal>,
    /// What the API server does not let us do, since a reconcile came through without.
    pub denial: Option<Trouble>,
    /// What the engine suffers from.
    pub engine_trouble: Option<Trouble>,
    /// Reconciles that failed in a row.
    pub failures: u32,
    /// Until when the pause after the last of them lasts.
    retry: Option<Instant>,
    /// Steps of the engine that failed in a row, and when to try again.
    engine_failures: u32,
    engine_retry: Option<Instant>,
    removing: BTreeMap<String, Instant>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            written: None,
            engine: Engine::Idle,
            step: None,
            created: BTreeMap::new(),
            gone: BTreeSet::new(),
            taken: BTreeSet::new(),
            unclear: BTreeMap::new(),
            inspection_unclear: None,
            bad_input: None,
            setbacks: BTreeMap::new(),
            refusal: None,
            denial: None,
            engine_trouble: None,
            failures: 0,
            retry: None,
            engine_failures: 0,
            engine_retry: None,
            removing: BTreeMap::new(),
        }
    }
}

/// The API server does not let us create a Job.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What to tell the user.
    pub trouble: Trouble,
    /// When to try again.
    pub until: Instant,
    count: u32,
}

/// Jobs of one purpose and one spec that came to nothing in a row through what is around them: inspections
/// without a result, and attempts whose pod a node would not have.
#[derive(Clone, Debug)]
struct Setbacks {
    /// What the last of them came to.
    trouble: Trouble,
    /// When to try again.
    until: Instant,
    /// The UID of its Job.
    job: String,
    /// The generation of the spec.
    generation: Option<i64>,
    count: u32,
}

impl Memory {
    /// Whether to ask for the removal of `name` now: not while a request is on its way.
    pub fn may_remove(&mut self, name: &str) -> bool {
        let now = Instant::now();
        self.removing
            .retain(|_, asked| now.duration_since(*asked) < REMOVAL);
        if self.removing.contains_key(name) {
            return false;
        }
        self.removing.insert(name.into(), now);
        true
    }

    /// Notes that a removal was refused, so that the next reconcile asks for it again.
    pub fn not_removed(&mut self, name: &str) {
        self.removing.remove(name);
    }

    /// Whether removals are on their way, which may have to be asked for again.
    pub fn is_removing(&self) -> bool {
        !self.removing.is_empty()
    }

    /// Notes a refusal; the pause doubles with each, up to 5 minutes.
    pub fn refuse(&mut self, trouble: Trouble) {
        let count = self.refusal.as_ref().map_or(0, |refusal| refusal.count) + 1;
        self.refusal = Some(Refusal {
            trouble,
            until: Instant::now() + backoff(count),
            count,
        });
    }

    /// Notes that a Job came to nothing, once for each; the pause before the next of its purpose doubles with
    /// each, up to 5 minutes, and is that of the `at_least`-th at least.
    pub fn set_back(
        &mut self,
        purpose: Purpose,
        job: &str,
        generation: Option<i64>,
        trouble: Trouble,
        at_least: u32,
    ) {
        let count = match self.setbacks.get(&purpose) {
            Some(last) if last.job == job => return,
            Some(last) => last.count.saturating_add(1),
            None => 1,
        };
        let count = count.max(at_least);
        let setbacks = Setbacks {
            trouble,
            until: Instant::now() + backoff(count),
            job: job.into(),
            generation,
            count,
        };
        self.setbacks.insert(purpose, setbacks);
    }

    /// Keeps the setbacks of this spec alone: another may be mended, and is tried at once.
    pub fn keep_setbacks_of(&mut self, generation: Option<i64>) {
        self.setbacks
            .retain(|_, last| last.generation == generation);
    }

    /// Keeps the setbacks of open trials alone.
    pub fn keep_setbacks_while(&mut self, is_open: impl Fn(u32) -> bool) {
        self.setbacks
            .retain(|purpose, _| matches!(purpose, Purpose::Trial(trial) if is_open(*trial)));
    }

    /// Takes in that a Job's container has begun: where an earlier one came to nothing, that is over.
    pub fn has_begun(&mut self, purpose: Purpose, job: &str) {
        self.setbacks
            .retain(|of, last| *of != purpose || last.job == job);
    }

    /// What the engine, the API server and the nodes refuse, for the user to know.
    pub fn troubles(&self) -> Vec<Trouble> {
        let engine = self.engine_trouble.iter();
        let refusal = self.refusal.iter().map(|refusal| &refusal.trouble);
        let setbacks = self.setbacks.values().map(|last| &last.trouble);
        engine.chain(refusal).chain(setbacks).cloned().collect()
    }

    /// Notes what the engine found.
    pub fn engine_answered(&mut self, engine: Engine) {
        self.engine_failures = 0;
        self.engine = engine;
    }

    /// Notes that the engine failed; it is asked again after a pause.
    pub fn engine_failed(&mut self) {
        self.engine_failures = self.engine_failures.saturating_add(1);
        self.engine_retry = Some(Instant::now() + backoff(self.engine_failures));
        self.engine = Engine::Busy;
    }

    /// Lets a failed engine be asked again when its pause is over.
    pub fn retry_engine(&mut self) {
        if self
            .engine_retry
            .is_some_and(|retry| Instant::now() >= retry)
        {
            self.engine_retry = None;
            self.engine = Engine::Idle;
        }
    }

    /// How long until a failed engine may be asked again.
    pub fn engine_pause(&self) -> Option<Duration> {
        self.engine_retry?.checked_duration_since(Instant::now())
    }

    /// Notes a reconcile that failed, and gives the pause, of `most` at most. What is tried during a
    /// pause, because something has changed, does not make it longer.
    pub fn pause_after_failure(&mut self, most: Duration) -> Duration {
        let now = Instant::now();
        let left = self
            .retry
            .and_then(|retry| retry.checked_duration_since(now));
        let pause = match left {
            Some(left) if self.failures > 0 => left,
            _ => {
                self.failures = self.failures.saturating_add(1);
                backoff(self.failures)
            }
        };
        let pause = pause.min(most);
        self.retry = Some(now + pause);
        pause
    }

    /// How long until a Job of this purpose may be created.
    pub fn pause(&self, purpose: Purpose) -> Option<Duration> {
        let refusal = self.refusal.as_ref().map(|refusal| refusal.until);
        let setback = self.setbacks.get(&purpose).map(|last| last.until);
        left(refusal.max(setback)?)
    }

    /// How long until some Job may be created that may not now.
    pub fn shortest_pause(&self) -> Option<Duration> {
        let refusal = self.refusal.iter().map(|refusal| refusal.until);
        let setbacks = self.setbacks.values().map(|last| last.until);
        refusal.chain(setbacks).filter_map(left).min()
    }
}

fn left(until: Instant) -> Option<Duration> {
    until.checked_duration_since(Instant::now())
}

/// The pause after the `count`-th failure in a row, from 1.
pub fn backoff(count: u32) -> Duration {
    Duration::from_secs(1 << count.clamp(1, 9)).min(LONGEST_PAUSE)
}

/// What is remembered of every search, by UID.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Memory>>>>);

impl Memories {
    /// What is remembered of a search.
    pub fn of(&self, uid: &str) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(uid.into()).or_default())
    }

    /// Forgets every search that `is_there` does not know; the engine's steps for them are dropped. Whether
    /// there were any.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|uid, _| is_there(uid));
        all.len() < before
    }
}
