//! What this process remembers of a search beside the object: nothing that may not be lost.

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
    /// The object as the API server last answered; `None` until it was read live.
    pub written: Option<PeftSearch>,
    /// Of a compare-and-swap that was lost: the ledger that was to be replaced, and the one that was to be written.
    pub lost: Option<[Vec<LedgerEntry>; 2]>,
    /// Where the engine stands.
    pub engine: Engine,
    /// The engine's step under way.
    pub step: Option<Step>,
    /// UIDs of Jobs that were created here, and when.
    pub created: BTreeMap<String, Timestamp>,
    /// Attempts whose Job the API server says is gone.
    pub gone: BTreeSet<Attempt>,
    /// Attempts whose Job's name somebody else's Job has.
    pub conflicts: BTreeSet<Attempt>,
    /// Since when the end of an attempt has not been clear.
    pub unclear: BTreeMap<Attempt, Timestamp>,
    /// Since when the end of the inspection has not been clear.
    pub inspection_unclear: Option<Timestamp>,
    /// What a trial found of the input, until the spec changes.
    pub bad_input: Option<(Option<i64>, BadInput)>,
    /// When what came to nothing is tried again.
    pub backoffs: Backoffs,
    /// What the API server does not let us do, since a reconcile came through without.
    pub denial: Option<Trouble>,
    /// Why a Job has no pod: its UID, when its events were read, and what they said.
    pub told: Option<(String, Timestamp, Option<String>)>,
    patience: Patience,
    /// Removals that were asked for, and when.
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

    /// Whether to ask for the removal of `name` now: not while a request is on its way.
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

    /// Notes that a removal was refused, so that the next reconcile asks for it again.
    pub fn not_removed(&mut self, name: &str) {
        self.removing.remove(name);
    }

    /// Whether removals are on their way, which may have to be asked for again.
    pub fn is_removing(&self) -> bool {
        !self.removing.is_empty()
    }

    /// Lets a failed engine be asked again when its pause is over.
    pub fn retry_engine(&mut self, now: Timestamp) {
        let is_waiting = self.engine == Engine::Busy && self.step.is_none();
        if is_waiting && self.backoffs.engine_may_retry(now) {
            self.engine = Engine::Idle;
        }
    }
}

/// What is remembered of every search, by UID.
#[derive(Debug)]
pub struct Memories {
    patience: Patience,
    all: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Memory>>>>,
}

impl Memories {
    /// Nothing yet.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            all: Mutex::default(),
        }
    }

    /// What is remembered of a search.
    pub fn of(&self, uid: &str) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(tokio::sync::Mutex::new(Memory::new(self.patience)));
        Arc::clone(all.entry(uid.into()).or_insert_with(new))
    }

    /// Forgets every search that `is_there` does not know; the engine's steps for them are dropped. Whether
    /// there were any.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|uid, _| is_there(uid));
        all.len() < before
    }
}
