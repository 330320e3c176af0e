//! One reconcile of one search: observe → validate → plan → record → act. What it decides is decided
//! by the planner; what it knows is in the object, the Jobs and the pods.
//!
//! The status is written by compare-and-swap before anything that follows from it is done, so that
//! whoever comes next, this process or another, goes on from the objects alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autopeft_crds::space::SearchSpace;
use autopeft_crds::status::{LedgerEntry, PeftSearchStatus};
use autopeft_crds::{PeftSearch, validate::validate};
use futures::FutureExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action as Next;

use super::api::{self, ApiError};
use super::build::names;
use super::build::{job, volumes};
use super::inspect::{self, Inspected};
use super::judge::observe::{Attempt, Observed, View, observe};
use super::judge::restore::{self, Early};
use super::memory::Memory;
use super::{Context, tell};
use autopeft_search::ends;
use autopeft_search::ledger::{Event, Ledger, LedgerError, RestoreError};
use autopeft_search::measures::{self, Subject};
use autopeft_search::pauses::Work;
use autopeft_search::planner::{self, Action, Engine, Situation};
use autopeft_search::request::{self, Places};
use autopeft_search::status;
use autopeft_search::trouble::Trouble;

/// A search that may not be readable.
pub type Guarded = DeserializeGuard<PeftSearch>;

/// How soon to look again after losing a compare-and-swap.
const AT_ONCE: Duration = Duration::from_millis(100);
/// The shortest pause.
const BRIEFLY: Duration = Duration::from_millis(20);
/// Why a reconcile came to nothing. Its kind is the metric's label and the Degraded condition's reason.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The planner and the ledger disagree: a defect of this program.
    #[error("the plan does not fit the ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// A document could not be made: a defect of this program.
    #[error("a request is not JSON: {0}")]
    Request(#[from] serde_json::Error),
    /// The placeholder of an inspection is refused: a defect of this program.
    #[error("the placeholder configuration is refused: {0}")]
    Placeholder(#[from] autopeft_crds::configuration::LayerMaskError),
    /// A step panicked: a defect of this program.
    #[error("the reconcile panicked: {0}")]
    Panicked(String),
}

/// Reconciles a search. A panic ends this reconcile and nothing else.
pub async fn reconcile(
    object: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<Next, Arc<ReconcileError>> {
    let begun = Instant::now();
    let step = std::panic::AssertUnwindSafe(step(&object, &context)).catch_unwind();
    let done = step.await.unwrap_or_else(|payload| {
        Err(ReconcileError::Panicked(super::panic_text(
            payload.as_ref(),
        )))
    });
    let metrics = &context.metrics;
    metrics
        .reconcile_seconds
        .observe(begun.elapsed().as_secs_f64());
    let result = if done.is_ok() { "ok" } else { "error" };
    metrics.reconciles.with_label_values(&[result]).inc();
    done.map_err(Arc::new)
}

/// What follows a reconcile that came to nothing.
pub fn after_error(object: Arc<Guarded>, error: &ReconcileError, context: Arc<Context>) -> Next {
    let metadata = object.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let memory = context
        .memories
        .of(metadata.uid.as_deref().unwrap_or_default());
    // Nobody else holds it: a search is reconciled by one task at a time.
    let is_lost = matches!(error, ReconcileError::Api(error) if error.code() == Some(409));
    let pause = match memory.try_lock() {
        Ok(mut memory) => {
            // What was believed may be wrong: the next reconcile reads the object itself.
            memory.written = None;
            if is_lost {
                AT_ONCE
            } else {
                // An API server that is away or overloaded comes back without a word.
                let is_away = matches!(error, ReconcileError::Api(error) if error.is_passing());
                let most = if is_away {
                    context.patience.away
                } else {
                    Duration::MAX
                };
                memory.pauses.shell_failed(most, Timestamp::now())
            }
        }
        Err(_) => context.patience.look,
    };
    if is_lost {
        tracing::debug!(
            namespace,
            search = name,
            "{error}; trying again in {pause:?}"
        );
    } else {
        tracing::warn!(
            namespace,
            search = name,
            "{error}; trying again in {pause:?}"
        );
    }
    Next::requeue(pause)
}

async fn step(object: &Guarded, context: &Context) -> Result<Next, ReconcileError> {
    let search = match &object.0 {
        Ok(search) => search,
        Err(invalid) => {
            let metadata = &invalid.metadata;
            tracing::error!(
                namespace = metadata.namespace,
                search = metadata.name,
                "this PeftSearch cannot be read and is left alone: {}",
                invalid.error
            );
            let note = format!(
                "this object cannot be read and is left alone: {}",
                invalid.error
            );
            context
                .recorder
                .warn(object.object_ref(&()), "Unreadable", note)
                .await;
            return Ok(Next::await_change());
        }
    };
    let uid = search.metadata.uid.clone().unwrap_or_default();
    let memory = context.memories.of(&uid);
    let mut memory = memory.lock().await;
    if search.metadata.deletion_timestamp.is_some() {
        // The garbage collector takes the Jobs; `orphans` lets their pods go.
        memory.step = None;
        return Ok(Next::await_change());
    }
    let (current, read) = match newest(search, &mut memory, context).await {
        Ok(Some(current)) => (current, Ok(())),
        Ok(None) => return Ok(Next::await_change()),
        Err(error) => (search.clone(), Err(error)),
    };
    let (jobs, pods) = cached(&current, context);
    let mut pass = Pass {
        context,
        memory: &mut memory,
        search: current,
        jobs,
        pods,
        proven: BTreeSet::new(),
        now: Timestamp::now(),
    };
    let done = match read {
        Ok(()) => pass.go().await,
        Err(error) => Err(error),
    };
    match done {
        Ok(next) => {
            memory.pauses.shell_came_through();
            // What was denied is allowed again; the condition says so at once.
            let was_denied = memory.denial.take().is_some();
            Ok(if was_denied {
                Next::requeue(AT_ONCE)
            } else if next == Next::await_change() && context.watches.trouble().is_some() {
                // It may pass without anything that wakes this search.
                Next::requeue(context.patience.watch_denied)
            } else {
                next
            })
        }
        Err(error) => {
            // Whoever reads of it in the condition finds it in the metrics. A compare-and-swap that is lost is
            // no error.
            if let ReconcileError::Api(error) = &error
                && error.code() != Some(409)
            {
                context.metrics.count_api_error(error.verb());
            }
            pass.tell_refused(&error).await;
            Err(error)
        }
    }
}

/// Tells a search's user that nothing can be done, because Jobs and pods are not known.
pub(super) async fn tell_blind(object: &Guarded, context: &Context) -> Result<(), ReconcileError> {
    let Ok(search) = &object.0 else {
        return Ok(());
    };
    let memory = context
        .memories
        .of(search.metadata.uid.as_deref().unwrap_or_default());
    let mut memory = memory.lock().await;
    if let Some(current) = newest(search, &mut memory, context).await? {
        let mut pass = Pass {
            context,
            memory: &mut memory,
            search: current,
            jobs: Vec::new(),
            pods: Vec::new(),
            proven: BTreeSet::new(),
            now: Timestamp::now(),
        };
        pass.tell_degraded().await;
    }
    Ok(())
}

/// The newest that is known of a search: what the cache has, or what the API server last answered.
/// The first time it is read from the API server itself, because a cache may lag behind what an
/// earlier process wrote. `None` where it is gone.
async fn newest(
    cached: &PeftSearch,
    memory: &mut Memory,
    context: &Context,
) -> Result<Option<PeftSearch>, ReconcileError> {
    let version = |search: &PeftSearch| -> u64 {
        let version = search.metadata.resource_version.as_deref();
        version
            .and_then(|version| version.parse().ok())
            .unwrap_or(0)
    };
    if let Some(written) = &memory.written {
        let newer = if version(cached) > version(written) {
            cached
        } else {
            written
        };
        return Ok(Some(newer.clone()));
    }
    let namespace = cached.metadata.namespace.as_deref().unwrap_or_default();
    let name = cached.metadata.name.as_deref().unwrap_or_default();
    let read = api::read_search(&context.client, namespace, name).await?;
    let same = read.filter(|read| read.metadata.uid == cached.metadata.uid);
    memory.written.clone_from(&same);
    Ok(same)
}

/// What the caches hold of a search.
fn cached(search: &PeftSearch, context: &Context) -> (Vec<Arc<Job>>, Vec<Arc<Pod>>) {
    let (namespace, uid) = (&search.metadata.namespace, &search.metadata.uid);
    let (name, own) = (search.metadata.name.as_deref(), uid.as_deref());
    let (name, own) = (name.unwrap_or_default(), own.unwrap_or_default());
    let mark = names::search_mark(search);
    // Quickly: there may be ten thousand.
    let may_be_ours = |metadata: &ObjectMeta, job: Option<&str>| {
        let labels = metadata.labels.as_ref();
        metadata.namespace == *namespace
            && (labels.and_then(|labels| labels.get(names::SEARCH_UID)) == uid.as_ref()
                || job.is_some_and(|job| job.starts_with(&mark)))
    };
    let mut jobs = context.jobs.state();
    jobs.retain(|job| may_be_ours(&job.metadata, job.metadata.name.as_deref()));
    let mut pods = context.pods.state();
    pods.retain(|pod| {
        let metadata = &pod.metadata;
        may_be_ours(metadata, names::controlling_job(metadata))
            && names::attempt_of_pod(metadata, name, own).is_some()
    });
    (jobs, pods)
}

/// One reconcile under way.
pub(super) struct Pass<'a> {
    pub context: &'a Context,
    pub memory: &'a mut Memory,
    pub search: PeftSearch,
    /// The Jobs in the cache that are labelled or named as the search's.
    pub jobs: Vec<Arc<Job>>,
    /// The search's pods in the cache.
    pub pods: Vec<Arc<Pod>>,
    /// Attempts whose pods were asked for at the API server.
    pub proven: BTreeSet<Attempt>,
    pub now: Timestamp,
}

impl Pass<'_> {
    pub fn namespace(&self) -> String {
        self.search.metadata.namespace.clone().unwrap_or_default()
    }

    pub fn name(&self) -> String {
        self.search.metadata.name.clone().unwrap_or_default()
    }

    pub fn uid(&self) -> String {
        self.search.metadata.uid.clone().unwrap_or_default()
    }

    async fn go(&mut self) -> Result<Next, ReconcileError> {
        let errors = validate(&self.search.spec);
        if !errors.is_empty() {
            let errors = errors.iter().map(ToString::to_string).collect();
            return self.refuse(errors).await;
        }
        let places = match volumes::places(&self.search) {
            Ok(places) => places,
            Err(error) => return self.refuse(vec![error.to_string()]).await,
        };
        let inspection = match inspect::inspect(self, &places).await? {
            Inspected::Found(inspection) => inspection,
            Inspected::NotYet(next) => return Ok(next),
        };
        let space = SearchSpace::resolve(
            &self.search.spec.search_space,
            inspection.layers as usize,
            inspection.hidden_size,
        );
        let space = match space {
            Ok(space) => space,
            Err(error) => return self.refuse(vec![format!("spec.{error}")]).await,
        };
        let subject = Subject::new(&self.search.spec, &space, &inspection);
        self.search_on(&subject, &places).await
    }

    async fn refuse(&mut self, errors: Vec<String>) -> Result<Next, ReconcileError> {
        let message = errors.join("; ");
        let status = restore::early(&self.search, &Early::Invalid(errors), self.now);
        if self.record(status, &[]).await? {
            let reference = self.search.object_ref(&());
            let recorder = &self.context.recorder;
            recorder.warn(reference, "InvalidSpec", message).await;
        }
        self.rest().await
    }

    /// What is left to do of a search that has ended before its first trial.
    pub async fn rest(&mut self) -> Result<Next, ReconcileError> {
        let status = self.search.status.as_ref();
        // What trials have found is not lost by an edit that cannot be carried out.
        let status = status.filter(|status| status.ledger.is_empty());
        let end = status.and_then(|status| status.completion_time.as_ref());
        let end = end.map(|time| time.0);
        Ok(match self.live_until(end).await? {
            Some(time) if time > self.now => Next::requeue(until(time).max(BRIEFLY)),
            _ => Next::await_change(),
        })
    }

    /// Deletes a search that ended at `end` and whose time after that is over. Gives when it is over.
    async fn live_until(
        &mut self,
        end: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, ReconcileError> {
        let time = end.and_then(|end| ends::expiry(&self.search.spec, end));
        if time.is_some_and(|time| self.now >= time) {
            api::delete_search(&self.context.client, &self.search).await?;
        }
        Ok(time)
    }

    /// Leaves a search alone whose ledger makes no sense, until somebody mends it.
    async fn quarantine(&mut self, error: &RestoreError) -> Result<Next, ReconcileError> {
        let message = format!("this search is left alone: {error}");
        tracing::error!(
            namespace = self.namespace(),
            search = self.name(),
            "{message}"
        );
        let status = restore::with_degraded(&self.search, self.now);
        let trouble = Trouble::new("Unreadable", message);
        self.record(status, &[trouble]).await?;
        Ok(Next::await_change())
    }

    /// Everything after the inspection.
    async fn search_on(
        &mut self,
        subject: &Subject,
        places: &Places,
    ) -> Result<Next, ReconcileError> {
        self.take_answer();
        self.memory.retry_engine(self.now);
        let generation = self.search.metadata.generation;
        let bad_input = self
            .memory
            .bad_input
            .take()
            .filter(|(seen, _)| *seen == generation);
        let bad_input = bad_input.map(|(_, found)| found);
        let mut ledger = match restore::ledger(&self.search, bad_input, self.now) {
            Ok(ledger) => ledger,
            Err(error) => return self.quarantine(&error).await,
        };
        let (plan, observed, events) = self.decide(subject, places, &mut ledger).await?;
        self.memory.bad_input = ledger.bad_input().map(|found| (generation, found.clone()));
        let is_over = ledger.conclusion().is_some();
        if is_over {
            // Nothing is created any more.
            self.memory.pauses.not_refused();
        }
        self.memory.pauses.keep_setbacks_while(|trial| {
            let entry = ledger.entry(trial).filter(|_| !is_over);
            entry.is_some_and(|entry| !entry.state.is_final())
        });
        let mut troubles = self.memory.pauses.troubles();
        troubles.extend(observed.troubles.iter().cloned());
        self.record(status::status(subject, &ledger), &troubles)
            .await?;
        for event in &events {
            tell(self, event, &ledger).await;
        }

        // What was decided is written down. First whatever starts, then whatever is cleared away.
        let (starts, others): (Vec<Action>, Vec<Action>) = plan
            .actions
            .into_iter()
            .partition(|action| matches!(action, Action::Start { .. }));
        let mut started = false;
        for action in starts {
            if let Action::Start { trial, attempt } = action {
                started |= self.start(&mut ledger, places, (trial, attempt)).await?;
            }
        }
        if started {
            self.record(status::status(subject, &ledger), &troubles)
                .await?;
        }
        for action in others {
            match action {
                Action::Suggest { trial: _ } => self.suggest(subject, &ledger),
                Action::Stop { trial, attempt, .. } | Action::Remove { trial, attempt } => {
                    self.clear((trial, attempt), &observed).await?;
                }
                Action::Write(_) | Action::Start { .. } => {}
            }
        }
        self.finish(&ledger, &observed, plan.wake).await
    }

    /// Plans until nothing more is to be written down, and gives the rest of the last plan.
    async fn decide(
        &mut self,
        subject: &Subject,
        places: &Places,
        ledger: &mut Ledger,
    ) -> Result<(planner::Plan, Observed, Vec<Event>), ReconcileError> {
        let mut events = Vec::new();
        loop {
            let observed = self.observe(places, ledger);
            for ((trial, attempt), uid) in &observed.adopted {
                ledger.note_job(*trial, *attempt, uid)?;
                self.memory.pauses.not_refused();
            }
            for (trial, uid) in &observed.begun {
                self.memory.pauses.has_begun(Work::Trial(*trial), uid);
            }
            let generation = self.search.metadata.generation;
            self.memory.pauses.keep_setbacks_of(generation);
            for setback in &observed.setbacks {
                self.memory.pauses.set_back(setback, generation, self.now);
            }
            if !observed.missing.is_empty() {
                self.look_for(&observed.missing, ledger).await?;
                continue;
            }
            let unclear = &mut self.memory.unclear;
            unclear.retain(|attempt, _| observed.unclear.contains(attempt));
            for attempt in &observed.unclear {
                let since = unclear.entry(*attempt).or_insert(self.now);
                // A clock that was set back.
                *since = self.now.min(*since);
            }
            if !observed.unproven.is_empty() {
                self.look_at_pods(&observed.unproven, ledger).await?;
                continue;
            }
            let plan = planner::plan(&Situation {
                spec: &self.search.spec,
                inspection: &subject.model,
                ledger,
                runs: &observed.runs,
                engine: &self.memory.engine,
                converged: measures::has_converged(subject, ledger),
                ahead: true,
                full: ends::is_full(&self.search),
                now: self.now,
            });
            let before = events.len();
            for action in &plan.actions {
                if let Action::Write(event) = action {
                    ledger.apply(event, self.now)?;
                    if matches!(event, Event::Planned(_)) {
                        self.memory.engine = Engine::Idle;
                    }
                    events.push(event.clone());
                }
            }
            if events.len() == before {
                return Ok((plan, observed, events));
            }
        }
    }

    fn observe(&self, places: &Places, ledger: &Ledger) -> Observed {
        let (name, uid) = (self.name(), self.uid());
        let view = View {
            name: &name,
            uid: &uid,
            ledger,
            spec: &self.search.spec,
            jobs: &self.jobs,
            pods: &self.pods,
            created: &self.memory.created,
            gone: &self.memory.gone,
            conflicts: &self.memory.conflicts,
            unclear: &self.memory.unclear,
            proven: &self.proven,
            patience: &self.context.patience,
            now: self.now,
        };
        observe(&view, |entry| {
            // A request that is no JSON is found when the Job is made.
            self.job(places, entry).unwrap_or_default()
        })
    }

    /// The Job of a trial's due attempt.
    pub fn job(&self, places: &Places, entry: &LedgerEntry) -> Result<Job, serde_json::Error> {
        let request = request::trial(&self.search.spec, places, &self.uid(), entry);
        let document = serde_json::to_string(&request)?;
        let purpose = Work::Trial(entry.trial);
        let defaults = &self.context.defaults;
        Ok(job::job(
            &self.search,
            purpose,
            entry.attempt,
            document,
            defaults,
        ))
    }

    /// Asks the API server for Jobs that the ledger knows and the cache does not: they are gone, or the
    /// cache lags behind, or somebody has taken our label off.
    async fn look_for(
        &mut self,
        missing: &[Attempt],
        ledger: &Ledger,
    ) -> Result<(), ReconcileError> {
        for &(trial, attempt) in missing {
            let purpose = Work::Trial(trial);
            let name = names::job_name(&self.name(), &self.uid(), purpose, attempt);
            let read = api::read_job(&self.context.client, &self.namespace(), &name).await?;
            let noted = ledger.entry(trial).and_then(|entry| entry.job_uid.as_ref());
            match read.filter(|read| read.metadata.uid.as_ref() == noted) {
                Some(job) => {
                    self.jobs
                        .retain(|job| job.metadata.name.as_ref() != Some(&name));
                    self.jobs.push(Arc::new(job));
                }
                None => {
                    self.memory.gone.insert((trial, attempt));
                }
            }
        }
        Ok(())
    }

    /// Puts what the API server has of these attempts' pods in the place of what the cache has. A
    /// cache may lag behind by as long as it takes to notice a dead watch, and knows nothing of a pod that
    /// somebody has taken our label off.
    async fn look_at_pods(
        &mut self,
        attempts: &[Attempt],
        ledger: &Ledger,
    ) -> Result<(), ReconcileError> {
        let entries = attempts
            .iter()
            .filter_map(|(trial, _)| ledger.entry(*trial));
        let uids: Vec<&str> = entries
            .filter_map(|entry| entry.job_uid.as_deref())
            .collect();
        let live = api::list_pods(&self.context.client, &self.namespace(), &uids).await?;
        let is_asked_for = |pod: &Pod| uids.iter().any(|uid| names::is_pod_of(&pod.metadata, uid));
        self.pods.retain(|pod| !is_asked_for(pod));
        let found = live.into_iter().filter(is_asked_for);
        self.pods.extend(found.map(Arc::new));
        self.proven.extend(attempts);
        Ok(())
    }

    /// Writes a status where it says something new; whether it did. What Degraded says anew is an event
    /// too.
    pub async fn record(
        &mut self,
        status: PeftSearchStatus,
        troubles: &[Trouble],
    ) -> Result<bool, ReconcileError> {
        let before = self.search.status.as_ref();
        let mut all: Vec<Trouble> = self.memory.denial.iter().cloned().collect();
        if status.completion_time.is_none() {
            all.extend(self.context.watches.trouble());
        }
        all.extend_from_slice(troubles);
        let mut status = restore::settle(status, before, &all, self.now);
        status.artifacts = volumes::artifacts(&self.search);
        self.context.metrics.show(&self.search, &status);
        if before.is_some_and(|before| *before == status) {
            return Ok(false);
        }
        let degraded = restore::newly_degraded(before, &status).cloned();
        let wanted = PeftSearch {
            status: Some(status),
            ..self.search.clone()
        };
        let written = api::replace_status(&self.context.client, &wanted).await?;
        self.memory.written = Some(written.clone());
        self.search = written;
        if let Some(condition) = degraded {
            let reference = self.search.object_ref(&());
            let recorder = &self.context.recorder;
            recorder
                .warn(reference, &condition.reason, condition.message)
                .await;
        }
        Ok(true)
    }

    /// When to look again; deletes the object when its time is over.
    async fn finish(
        &mut self,
        ledger: &Ledger,
        observed: &Observed,
        wake: Option<Timestamp>,
    ) -> Result<Next, ReconcileError> {
        let open: BTreeSet<Attempt> = ledger
            .open()
            .map(|entry| (entry.trial, entry.attempt))
            .collect();
        self.memory.gone.retain(|attempt| open.contains(attempt));
        self.memory
            .conflicts
            .retain(|attempt| open.contains(attempt));
        let mut delays: Vec<Duration> = Vec::new();
        delays.extend(wake.map(until));
        delays.extend(observed.wake.map(until));
        delays.extend(self.memory.pauses.shortest(self.now));
        if self.memory.is_removing()
            || !self.memory.conflicts.is_empty()
            || !observed.troubles.is_empty()
        {
            delays.push(self.context.patience.look);
        }
        if ledger.open().next().is_some() {
            // A pod that does not start is noticed by looking, not by an event.
            delays.push(self.context.patience.look_at_jobs);
        }
        if observed.objects.is_empty() {
            let end = ledger.conclusion().map(|(_, at)| *at);
            match self.live_until(end).await? {
                Some(time) if time <= self.now => return Ok(Next::await_change()),
                time => delays.extend(time.map(until)),
            }
        }
        Ok(delays
            .into_iter()
            .min()
            .map_or(Next::await_change(), |delay| {
                Next::requeue(delay.max(BRIEFLY))
            }))
    }
}

/// How long it is until then.
pub(super) fn until(time: Timestamp) -> Duration {
    time.duration_since(Timestamp::now())
        .try_into()
        .unwrap_or_default()
}
