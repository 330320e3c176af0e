//! Carries out what the planner has decided: Jobs are created and deleted, pods let go, the engine
//! asked. What it does shows in the caches or in the memory, and the next reconcile sees it.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::ObjectRef;

use super::api::{self, ApiError};
use super::build::names::Work;
use super::build::{job, names};
use super::denials;
use super::judge::observe::{Attempt, Observed};
use super::reconcile::{Guarded, Pass, ReconcileError};
use autopeft_search::ask::Asked;
use autopeft_search::ledger::Ledger;
use autopeft_search::measures::Subject;
use autopeft_search::planner::Engine;
use autopeft_search::request::Places;
use autopeft_search::trouble::Trouble;

impl Pass<'_> {
    /// Starts an attempt. False where nothing was started.
    pub async fn start(
        &mut self,
        ledger: &mut Ledger,
        places: &Places,
        (trial, attempt): Attempt,
    ) -> Result<bool, ReconcileError> {
        let Some(entry) = ledger.entry(trial).cloned() else {
            return Ok(false);
        };
        let pause = self.memory.pauses.left(Work::Trial(trial), self.now);
        if pause.is_some() || !self.context.pulse.is_steady() {
            return Ok(false);
        }
        let wanted = self.job(places, &entry)?;
        let created = match self.create(&wanted).await? {
            Created::Made(uid) => uid,
            Created::Conflict => {
                self.memory.conflicts.insert((trial, attempt));
                return Ok(false);
            }
            Created::Refused => return Ok(false),
        };
        self.memory.created.insert(created.clone(), self.now);
        ledger.note_job(trial, attempt, &created)?;
        Ok(true)
    }

    /// Creates a Job, or finds that it was created before.
    pub async fn create(&mut self, wanted: &Job) -> Result<Created, ReconcileError> {
        let namespace = self.namespace();
        let client = &self.context.client;
        match api::create_job(client, &namespace, wanted).await {
            Ok(job) => {
                self.memory.pauses.not_refused();
                Ok(Created::Made(job.metadata.uid.unwrap_or_default()))
            }
            Err(error) if error.is_already_exists() => {
                let name = wanted.metadata.name.as_deref().unwrap_or_default();
                let Some(found) = api::read_job(client, &namespace, name).await? else {
                    // Gone again: the next reconcile makes it.
                    return Err(error.into());
                };
                let uid = found.metadata.uid.clone().unwrap_or_default();
                let is_ours = names::controller_uid(&found.metadata) == Some(&self.uid())
                    && (self.memory.created.contains_key(&uid) || job::is_the_same(&found, wanted));
                if !is_ours {
                    return Ok(Created::Conflict);
                }
                self.memory.pauses.not_refused();
                Ok(Created::Made(uid))
            }
            // A quota that several have asked at the same time, for one.
            Err(error) if error.code() == Some(409) => Err(error.into()),
            Err(error) => {
                let Some(trouble) = denials::of_creation(&error) else {
                    return Err(error.into());
                };
                self.context.metrics.count_api_error(error.verb());
                tracing::warn!(
                    namespace = self.namespace(),
                    search = self.name(),
                    reason = trouble.reason,
                    "{}",
                    trouble.message
                );
                self.memory.pauses.refused(trouble, self.now);
                Ok(Created::Refused)
            }
        }
    }

    /// Asks the engine for the next trial.
    pub fn suggest(&mut self, subject: &Subject, ledger: &Ledger) {
        let trigger = self.context.trigger.clone();
        let reference = ObjectRef::<Guarded>::new(&self.name()).within(&self.namespace());
        let done = move || {
            // Nobody listens when the process ends.
            let _ = trigger.unbounded_send(reference);
        };
        let metric = subject.spec.task.score_metric();
        let engines = &self.context.engines;
        self.memory.step =
            Some(engines.begin(subject.problem.clone(), metric, ledger.clone(), done));
        self.memory.engine = Engine::Busy;
    }

    /// Takes in what the engine has found.
    pub fn take_answer(&mut self) {
        let Some(answer) = self
            .memory
            .step
            .as_ref()
            .and_then(super::engines::Step::take)
        else {
            return;
        };
        self.memory.step = None;
        self.context.metrics.engine_seconds.observe(answer.seconds);
        match answer.asked {
            Ok(asked) => {
                if let Asked::Suggestion(planned) = &asked {
                    let (trial, seconds) = (planned.trial, answer.seconds);
                    tracing::debug!(
                        namespace = self.namespace(),
                        search = self.name(),
                        trial,
                        seconds,
                        "suggested"
                    );
                }
                self.memory.pauses.engine_answered();
                self.memory.engine = match asked {
                    Asked::Suggestion(planned) => Engine::Ready(planned),
                    Asked::Exhausted => Engine::Exhausted,
                };
            }
            Err(error) => {
                let trouble = Trouble::new("EngineFailed", error.to_string());
                self.memory.pauses.engine_failed(trouble, self.now);
            }
        }
    }

    /// Lets an attempt's pods go and deletes its Job.
    pub async fn clear(
        &mut self,
        attempt: Attempt,
        observed: &Observed,
    ) -> Result<(), ReconcileError> {
        let Some(objects) = observed.objects.get(&attempt) else {
            return Ok(());
        };
        for pod in self.pods.clone() {
            if objects
                .held
                .iter()
                .any(|name| pod.metadata.name.as_ref() == Some(name))
            {
                self.let_go(&pod).await?;
            }
        }
        if let Some((name, uid)) = &objects.job {
            self.delete_job(name, uid).await?;
            self.memory.created.remove(uid);
        }
        Ok(())
    }

    /// Takes our finalizer off a pod that has it, unless that was asked a moment ago.
    pub async fn let_go(&mut self, pod: &Pod) -> Result<(), ReconcileError> {
        let key = format!("pod/{}", pod.metadata.name.as_deref().unwrap_or_default());
        if !names::is_held(&pod.metadata) || !self.memory.may_remove(&key, self.now) {
            return Ok(());
        }
        let client = &self.context.client;
        let released = api::release_pod(client, &self.namespace(), &pod.metadata).await;
        self.asked(&key, released)
    }

    /// Deletes a Job, unless that was asked a moment ago.
    pub async fn delete_job(&mut self, name: &str, uid: &str) -> Result<(), ReconcileError> {
        let key = format!("job/{uid}");
        if !self.memory.may_remove(&key, self.now) {
            return Ok(());
        }
        let deleted = api::delete_job(&self.context.client, &self.namespace(), name, uid).await;
        self.asked(&key, deleted)
    }

    fn asked(&mut self, key: &str, answer: Result<(), ApiError>) -> Result<(), ReconcileError> {
        if answer.is_err() {
            self.memory.not_removed(key);
        }
        Ok(answer?)
    }
}

/// How creating a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Created {
    /// It exists and is ours: its UID.
    Made(String),
    /// Somebody else's has its name.
    Conflict,
    /// The API server does not allow it; the pauses say why and until when.
    Refused,
}
