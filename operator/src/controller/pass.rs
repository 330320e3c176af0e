//! The state of one reconcile of one search: what was read, and the search's memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use autopeft_crds::PeftSearch;
use autopeft_crds::status::Attempt;
use autopeft_search::backoff::Work;
use autopeft_search::deadlines;
use autopeft_search::ledger::Ledger;
use autopeft_search::object;
use autopeft_search::request::{self, Locations};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::context::Context;
use super::error::ReconcileError;
use super::memory::Memory;
use autopeft_jobs::build::job::{self, Order};

/// The state of one reconcile.
pub struct Pass<'a> {
    /// Shared by all reconciles.
    pub context: &'a Context,
    /// The search's memory.
    pub memory: &'a mut Memory,
    /// The newest known version of the search.
    pub search: PeftSearch,
    /// The Jobs in the cache that are labelled or named as the search's.
    pub jobs: Vec<Arc<Job>>,
    /// The search's pods in the cache.
    pub pods: Vec<Arc<Pod>>,
    /// Attempts whose Job was read from the API server.
    pub looked_up: BTreeSet<(Work, u32)>,
    /// Attempts whose pods were read from the API server.
    pub confirmed: BTreeSet<(Work, u32)>,
    /// The time.
    pub now: Timestamp,
}

/// A read that the caches cannot answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The Jobs of these attempts, which are not in the cache; with the UID if it is known.
    Jobs(Vec<(Work, u32, Option<String>)>),
    /// The pods of these attempts, by the UIDs of their Jobs.
    Pods(Vec<((Work, u32), String)>),
}

impl<'a> Pass<'a> {
    /// The state before anything but the cached search was read.
    pub fn new(context: &'a Context, memory: &'a mut Memory, search: PeftSearch) -> Self {
        Self {
            context,
            memory,
            search: object::as_seen(search),
            jobs: Vec::new(),
            pods: Vec::new(),
            looked_up: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            now: Timestamp::now(),
        }
    }

    /// The search's namespace.
    pub fn namespace(&self) -> String {
        self.search.metadata.namespace.clone().unwrap_or_default()
    }

    /// The search's name.
    pub fn name(&self) -> String {
        self.search.metadata.name.clone().unwrap_or_default()
    }

    /// The search's UID.
    pub fn uid(&self) -> String {
        self.search.metadata.uid.clone().unwrap_or_default()
    }

    /// The Job of a run.
    pub fn job(
        &self,
        locations: &Locations,
        ledger: &Ledger,
        run: Attempt,
    ) -> Result<Job, ReconcileError> {
        let request = request::run(&self.search.spec, locations, &self.uid(), ledger, run)?;
        let seconds = deadlines::seconds_of_run(&self.search.spec, ledger.members(run));
        Ok(job::job(
            &self.search,
            Work::Trial(run.trial),
            run.attempt,
            Order::run(&request, seconds)?,
            &self.context.defaults,
        ))
    }

    /// The Job of the inspection.
    pub fn inspection_job(&self, locations: &Locations) -> Result<Job, ReconcileError> {
        let request = request::inspection(&self.search.spec, locations, &self.uid())?;
        let order = Order::inspection(&request, self.search.spec.trial_deadline_seconds)?;
        let defaults = &self.context.defaults;
        Ok(job::job(&self.search, Work::Inspection, 1, order, defaults))
    }
}
