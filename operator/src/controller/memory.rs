//! What this process remembers of a search besides the object. Losing it must be harmless.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use autopeft_crds::PeftSearch;
use autopeft_crds::status::{Attempt, LedgerEntry};
use autopeft_search::backoff::Backoffs;
use autopeft_search::ledger::BadInput;
use autopeft_search::patience::Patience;
use autopeft_search::planner::Engine;
use autopeft_search::trouble::Trouble;
use k8s_openapi::jiff::Timestamp;

use super::engines::Step;

/// What is remembered of one search.
#[derive(Debug)]
pub struct Memory {
    /// The object as the API server last returned it; `None` until it is first read.
    pub written: Option<PeftSearch>,
    /// After a lost compare-and-swap: the ledger to be replaced, and the one to be written.
    pub lost: Option<[Vec<LedgerEntry>; 2]>,
    /// The state of the engine.
    pub engine: Engine,
    /// The running suggestion.
    pub step: Option<Step>,
    /// UIDs of Jobs that this process created, and when.
    pub created: BTreeMap<String, Timestamp>,
    /// Attempts whose Job does not exist, according to the API server.
    pub gone: BTreeSet<Attempt>,
    /// Attempts whose Job's name is taken by another owner's Job.
    pub conflicts: BTreeSet<Attempt>,
    /// Since when the outcome of an attempt has been unclear.
    pub unclear: BTreeMap<Attempt, Timestamp>,
    /// Since when the outcome of the inspection has been unclear.
    pub inspection_unclear: Option<Timestamp>,
    /// The `BadInput` that a trial reported, with the generation of the spec.
    pub bad_input: Option<(Option<i64>, BadInput)>,
    /// Back-offs.
    pub backoffs: Backoffs,
    /// The request that the API server denies, until a reconcile succeeds.
    pub denial: Option<Trouble>,
    /// Why a Job has no pod: its UID, when its events were read, and what they said.
    pub told: Option<(String, Timestamp, Option<String>)>,
    patience: Patience,
    /// Requested removals, and when.
    removing: BTreeMap<String, Timestamp>,
}

impl Memory {
    fn new(patience: Patience) -> Self {
        Self {
            written: None,
            lost: None,
            engine: Engine::Idle,
            step: None,
            created: BTreeMap::new(),
            gone: BTreeSet::new(),
            conflicts: BTreeSet::new(),
            unclear: BTreeMap::new(),
            inspection_unclear: None,
            bad_input: None,
            backoffs: Backoffs::new(patience),
            denial: None,
            told: None,
            patience,
            removing: BTreeMap::new(),
        }
    }

    /// Whether to request the removal of `name` now: not while a request is pending.
    pub fn may_remove(&mut self, name: &str, now: Timestamp) -> bool {
        let patience = self.patience.removal;
        self.removing
            .retain(|_, asked| now.duration_since(*asked).unsigned_abs() < patience);
        if self.removing.contains_key(name) {
            return false;
        }
        self.removing.insert(name.into(), now);
        true
    }

    /// Notes that a removal was rejected, so that the next reconcile requests it again.
    pub fn not_removed(&mut self, name: &str) {
        self.removing.remove(name);
    }

    /// Whether removals are pending, which may have to be requested again.
    pub fn is_removing(&self) -> bool {
        !self.removing.is_empty()
    }

    /// Allows a failed suggestion to be retried after its pause.
    pub fn retry_engine(&mut self, now: Timestamp) {
        let is_waiting = self.engine == Engine::Busy && self.step.is_none();
        if is_waiting && self.backoffs.engine_may_retry(now) {
            self.engine = Engine::Idle;
        }
    }
}

/// The memory of every search, by UID.
#[derive(Debug)]
pub struct Memories {
    patience: Patience,
    all: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Memory>>>>,
}

impl Memories {
    /// Empty.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            all: Mutex::default(),
        }
    }

    /// The memory of a search.
    pub fn of(&self, uid: &str) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(tokio::sync::Mutex::new(Memory::new(self.patience)));
        Arc::clone(all.entry(uid.into()).or_insert_with(new))
    }

    /// Forgets every search for which `is_there` is false and cancels its suggestion; returns whether there were any.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|uid, _| is_there(uid));
        all.len() < before
    }
}
