//! The state of an inspection from its Job and pods.

use autopeft_search::inspection::Run;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use crate::controller::pass::{Pass, Question};
use autopeft_jobs::build::job;
use autopeft_jobs::build::names::{self, Work};
use autopeft_jobs::judge::inspection;
use autopeft_jobs::judge::observe::Objects;
use autopeft_jobs::judge::outcome::{Seen, UnclearEnd, see, unclear_end};

/// The one attempt at an inspection: there is one at a time, under one name.
pub const ATTEMPT: (Work, u32) = (Work::Inspection, 1);

/// The observation of an inspection.
#[derive(Debug)]
pub struct Look {
    /// The state of its run.
    pub run: Run,
    /// Its Job and pods.
    pub objects: Objects,
    /// Since when its outcome has been unclear.
    pub unclear: Option<Timestamp>,
    /// What must be read first.
    pub question: Option<Question>,
}

/// Observes the inspection; `wanted` is the Job by the current spec.
pub fn look(pass: &Pass<'_>, wanted: &Job) -> Look {
    let objects = objects(pass);
    let mut look = Look {
        run: Run::Absent,
        objects,
        unclear: None,
        question: None,
    };
    let Some((name, uid)) = &look.objects.job else {
        // This process created it, but it is not in the cache: not yet, or its label was removed.
        if !pass.memory.created.is_empty() && !pass.looked_up.contains(&ATTEMPT) {
            look.question = Some(Question::Jobs(vec![(ATTEMPT.0, ATTEMPT.1, None)]));
        }
        return look;
    };
    let found = pass.jobs.iter();
    let mut found = found.filter(|job| job.metadata.name.as_ref() == Some(name));
    let Some(job) = found.next() else {
        return look;
    };
    let is_made = pass.memory.created.contains_key(uid) || job::is_the_same(job, wanted);
    let pods = pass.pods.iter();
    let pods = pods.filter(|pod| names::is_pod_of(&pod.metadata, uid));
    let pods: Vec<&Pod> = pods.map(AsRef::as_ref).collect();
    let patience = &pass.context.patience;
    let seen = match see(job, &pods, patience, pass.now) {
        Seen::Unclear { patience, then } => {
            let since = pass.memory.inspection_unclear.unwrap_or(pass.now);
            look.unclear = Some(since.min(pass.now));
            match unclear_end(since, patience, pass.confirmed.contains(&ATTEMPT), pass.now) {
                UnclearEnd::Wait(_) => Seen::Running,
                UnclearEnd::Confirm => {
                    look.question = Some(Question::Pods(vec![(ATTEMPT, uid.clone())]));
                    Seen::Running
                }
                UnclearEnd::Settled => then.map_or(Seen::Running, Seen::Ended),
            }
        }
        clear => clear,
    };
    let is_replaced = matches!(seen, Seen::Waiting(_)) && job::is_outdated(job, wanted);
    look.run = if is_made && !is_replaced {
        inspection::run(seen, &pass.uid(), &pass.search.spec)
    } else {
        // The spec has changed since, which may fix what it waits for.
        Run::Outdated
    };
    look
}

/// The inspection's Job and held pods.
pub fn objects(pass: &Pass<'_>) -> Objects {
    let (search, uid) = (pass.name(), pass.uid());
    let name = names::job_name(&search, &uid, ATTEMPT.0, ATTEMPT.1);
    let job = pass.jobs.iter().find(|job| {
        job.metadata.name.as_ref() == Some(&name) && names::is_our_job(job, &search, &uid)
    });
    let held = pass.pods.iter().filter(|pod| {
        let attempt = names::attempt_of_pod(&pod.metadata, &search, &uid);
        matches!(attempt, Some((Work::Inspection, _))) && names::is_held(&pod.metadata)
    });
    Objects {
        job: job.map(|job| (name, job.metadata.uid.clone().unwrap_or_default())),
        held: held.filter_map(|pod| pod.metadata.name.clone()).collect(),
    }
}
