//! The Job of a trial. No I/O.
//!
//! It asks for nothing that the restricted Pod Security profile refuses, holds no token, and mounts
//! only what the search names. Its name and its content follow from the search and the request, and it
//! carries a hash of them, so that a Job found in its place can be compared.

use std::collections::{BTreeMap, BTreeSet};

use autopeft_crds::PeftSearch;
use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::spec::{
    ClaimSource, ImageSource, PeftSearchSpec, SecretKeyRef, Source, TrainerSpec,
};
use autopeft_crds::trial::TRAINER_ENVIRONMENT;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource,
    EnvVar, EnvVarSource, ImageVolumeSource, LocalObjectReference, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec,
    ResourceRequirements, SeccompProfile, SecretKeySelector, SecurityContext, Toleration, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::names::{self, CONTAINER, FINALIZER, Purpose};
use autopeft_search::request::Places;

/// Where claims are mounted in a trainer's pod.
pub(super) const CLAIMS: &str = "/mnt/claims";
/// Where image volumes are mounted.
pub(super) const IMAGES: &str = "/mnt/images";
/// Where the claim for artifacts is mounted.
pub(super) const ARTIFACTS: &str = "/mnt/artifacts";
/// Where the request is mounted.
const REQUEST_FOLDER: &str = "/etc/autopeft";
/// The variable with the hub's token.
const TOKEN: &str = "HF_TOKEN";
/// The variable with that of the data, where the model has another.
const DATA_TOKEN: &str = "HF_TOKEN_DATA";
/// The user that trainers run as: nobody on the node.
const USER: i64 = 65_532;

/// What the operator adds to every trainer.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The trainer's image, where the search names none.
    pub image: String,
}

/// Why a search cannot be carried out in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// A path on somebody's machine.
    #[error(
        "{0}.source.path: a path on a machine is for `peft-operator run` only; in a cluster give claim, image or hub"
    )]
    Path(&'static str),
    /// None of the sources.
    #[error("{0}.source: nothing is given; give claim, image or hub")]
    Nothing(&'static str),
}

/// Where the trainer's pod finds model and data, and where it leaves adapters.
pub fn places(search: &PeftSearch) -> Result<Places, PlaceError> {
    let spec = &search.spec;
    let artifacts = spec.trainer.artifacts_claim.as_ref();
    Ok(Places {
        model: place(&spec.model.source, "spec.model", MODEL)?,
        data: place(&spec.task.source, "spec.task", DATA)?,
        artifacts: artifacts.map(|ClaimSource { name: _, path }| {
            let search = names::search_mark(search);
            format!("{}/{search}", inside(ARTIFACTS, path))
        }),
    })
}

/// Where adapters are kept, for people: the claim and the folder on it.
pub fn artifacts(search: &PeftSearch) -> Option<String> {
    let ClaimSource { name, path } = search.spec.trainer.artifacts_claim.as_ref()?;
    let folder = names::search_mark(search);
    Some(match path.trim_matches('/') {
        "" => format!("{name}: {folder}"),
        path => format!("{name}: {path}/{folder}"),
    })
}

/// The image volume of the model.
pub(super) const MODEL: &str = "model";
/// The image volume of the data.
pub(super) const DATA: &str = "data";

fn place(source: &Source, field: &'static str, volume: &str) -> Result<String, PlaceError> {
    let Source {
        path,
        claim,
        image,
        hub,
    } = source;
    match (path, claim, image, hub) {
        (None, Some(ClaimSource { name, path }), None, None) => {
            Ok(inside(&format!("{CLAIMS}/{name}"), path))
        }
        (None, None, Some(ImageSource { reference: _, path }), None) => {
            Ok(inside(&format!("{IMAGES}/{volume}"), path))
        }
        (None, None, None, Some(hub)) => Ok(format!("hf://{}@{}", hub.repository, hub.revision)),
        (Some(_), ..) => Err(PlaceError::Path(field)),
        _ => Err(PlaceError::Nothing(field)),
    }
}

/// A path inside a directory.
fn inside(directory: &str, path: &str) -> String {
    match path.trim_matches('/') {
        "" => directory.to_owned(),
        path => format!("{directory}/{path}"),
    }
}

/// The Job of an attempt. `request` is the document that its trainer reads.
pub fn job(
    search: &PeftSearch,
    purpose: Purpose,
    attempt: u32,
    request: String,
    defaults: &Defaults,
) -> Job {
    let (name, uid) = (
        search.metadata.name.clone().unwrap_or_default(),
        search.metadata.uid.clone().unwrap_or_default(),
    );
    let labels = BTreeMap::from([
        (names::MANAGED_BY.into(), names::MANAGER.into()),
        ("app.kubernetes.io/component".into(), "trainer".into()),
        (names::SEARCH.into(), name.clone()),
        (names::SEARCH_UID.into(), uid.clone()),
        (names::TRIAL.into(), purpose.label()),
        (names::ATTEMPT.into(), attempt.to_string()),
    ]);
    let spec = job_spec(search, purpose, request, labels.clone(), defaults);
    let mut job_labels = labels;
    let queue = search.spec.trainer.queue_name.as_ref();
    if let Some(queue) = queue {
        job_labels.insert(names::QUEUE.into(), queue.clone());
    }
    Job {
        metadata: ObjectMeta {
            name: Some(names::job_name(&name, &uid, purpose, attempt)),
            namespace: search.metadata.namespace.clone(),
            labels: Some(job_labels),
            annotations: Some(BTreeMap::from([(names::MADE.into(), hash(&spec))])),
            owner_references: search.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

fn job_spec(
    search: &PeftSearch,
    purpose: Purpose,
    request: String,
    labels: BTreeMap<String, String>,
    defaults: &Defaults,
) -> JobSpec {
    JobSpec {
        backoff_limit: Some(0),
        completions: Some(1),
        parallelism: Some(1),
        // A pod that still runs is never doubled.
        pod_replacement_policy: Some("Failed".into()),
        active_deadline_seconds: i64::try_from(search.spec.trial_deadline_seconds).ok(),
        // Kueue admits a Job by ending its suspension.
        suspend: search.spec.trainer.queue_name.as_ref().map(|_| true),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels),
                annotations: Some(BTreeMap::from([(names::REQUEST.into(), request)])),
                finalizers: Some(vec![FINALIZER.into()]),
                ..ObjectMeta::default()
            }),
            spec: Some(pod(&search.spec, purpose, defaults)),
        },
        ..JobSpec::default()
    }
}

/// What tells one Job's content from another's.
fn hash(spec: &JobSpec) -> String {
    // A JobSpec is plain data: it always has a JSON form.
    hex_prefix(&serde_json::to_vec(spec).unwrap_or_default())
}

/// The hash that a Job carries.
fn made(job: &Job) -> Option<&String> {
    job.metadata.annotations.as_ref()?.get(names::MADE)
}

/// A label of a Job.
pub(super) fn label<'a>(job: &'a Job, name: &str) -> Option<&'a String> {
    job.metadata.labels.as_ref()?.get(name)
}

/// Whether a Job was made from another spec than the wanted one. What admission or Kueue have changed
/// in it does not count: where the search names no queue, Kueue may have put the Job into its default one.
pub fn is_outdated(found: &Job, wanted: &Job) -> bool {
    let queue = label(wanted, names::QUEUE);
    let is_in_another = queue.is_some() && label(found, names::QUEUE) != queue;
    match (made(found), made(wanted)) {
        (Some(before), Some(now)) => before != now || is_in_another,
        _ => false,
    }
}

/// Whether a Job that was found is the wanted one: made by the same search, of the same spec, for the
/// same request. What the API server, admission or Kueue have changed in it does not count.
pub fn is_the_same(found: &Job, wanted: &Job) -> bool {
    let request = |job: &Job| {
        let template = job.spec.as_ref()?.template.metadata.as_ref()?;
        template.annotations.as_ref()?.get(names::REQUEST).cloned()
    };
    let mut labels = wanted.metadata.labels.iter().flatten();
    made(found).is_some()
        && made(found) == made(wanted)
        && names::controller_uid(&found.metadata) == names::controller_uid(&wanted.metadata)
        && labels.all(|(name, value)| label(found, name) == Some(value))
        && request(found) == request(wanted)
}

fn pod(spec: &PeftSearchSpec, purpose: Purpose, defaults: &Defaults) -> PodSpec {
    let TrainerSpec {
        image: _,
        resources: _,
        node_selector,
        tolerations,
        priority_class_name,
        runtime_class_name,
        image_pull_secrets,
        artifacts_claim,
        queue_name: _,
    } = &spec.trainer;
    let (volumes, mounts) = volumes(spec);
    PodSpec {
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        // A trainer that is stopped has nothing to save.
        termination_grace_period_seconds: Some(2),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            // Whatever is kept on a claim can be written by this group.
            fs_group: artifacts_claim.as_ref().map(|_| USER),
            fs_group_change_policy: artifacts_claim.as_ref().map(|_| "OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        node_selector: (!node_selector.is_empty()).then(|| node_selector.clone()),
        tolerations: (!tolerations.is_empty())
            .then(|| tolerations.iter().map(toleration).collect()),
        priority_class_name: priority_class_name.clone(),
        runtime_class_name: runtime_class_name.clone(),
        image_pull_secrets: (!image_pull_secrets.is_empty()).then(|| {
            let reference = |name: &String| LocalObjectReference { name: name.clone() };
            image_pull_secrets.iter().map(reference).collect()
        }),
        volumes: Some(volumes),
        containers: vec![container(spec, purpose, defaults, mounts)],
        ..PodSpec::default()
    }
}

fn toleration(given: &autopeft_crds::spec::TrainerToleration) -> Toleration {
    let autopeft_crds::spec::TrainerToleration { key, value, effect } = given;
    Toleration {
        key: Some(key.clone()),
        operator: Some(if value.is_some() { "Equal" } else { "Exists" }.into()),
        value: value.clone(),
        effect: effect.map(|effect| format!("{effect:?}")),
        toleration_seconds: None,
    }
}

/// The images that a search itself names by a tag, not by a digest.
pub fn tags(spec: &PeftSearchSpec) -> Vec<&str> {
    let sources = [&spec.model.source, &spec.task.source];
    let volumes = sources
        .into_iter()
        .filter_map(|source| Some(source.image.as_ref()?.reference.as_str()));
    let mut tags: Vec<&str> = spec
        .trainer
        .image
        .as_deref()
        .into_iter()
        .chain(volumes)
        .filter(|image| is_tag(image))
        .collect();
    tags.dedup();
    tags
}

/// Whether an image is named by a tag, not by a digest.
pub fn is_tag(image: &str) -> bool {
    !image.contains("@sha256:")
}

fn trainer_image<'a>(spec: &'a PeftSearchSpec, defaults: &'a Defaults) -> &'a str {
    spec.trainer.image.as_deref().unwrap_or(&defaults.image)
}

fn container(
    spec: &PeftSearchSpec,
    purpose: Purpose,
    defaults: &Defaults,
    mounts: Vec<VolumeMount>,
) -> Container {
    let verb = match purpose {
        Purpose::Inspection => "inspect",
        Purpose::Trial(_) => "trial",
    };
    let request = format!("{REQUEST_FOLDER}/request.json");
    let arguments = [
        verb,
        "--request",
        &request,
        "--result",
        "/dev/termination-log",
        // A GPU that is paid for is used; one that is not is left to others.
        "--device",
        if spec.trainer.resources.gpus > 0 {
            "cuda"
        } else {
            "cpu"
        },
    ];
    Container {
        name: CONTAINER.into(),
        image: Some(trainer_image(spec, defaults).into()),
        args: Some(arguments.map(String::from).into()),
        env: Some(environment(spec)),
        resources: Some(resources(spec)),
        termination_message_path: Some("/dev/termination-log".into()),
        termination_message_policy: Some("File".into()),
        volume_mounts: Some(mounts),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            privileged: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec!["ALL".into()]),
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// What is requested is what is the limit.
fn resources(spec: &PeftSearchSpec) -> ResourceRequirements {
    let given = &spec.trainer.resources;
    let mut amounts = BTreeMap::from([
        ("cpu".to_owned(), Quantity(given.cpu.clone())),
        ("memory".to_owned(), Quantity(given.memory.clone())),
        (
            "ephemeral-storage".to_owned(),
            Quantity(given.ephemeral_storage.clone()),
        ),
    ]);
    if given.gpus > 0 {
        amounts.insert(names::GPU.into(), Quantity(given.gpus.to_string()));
    }
    ResourceRequirements {
        limits: Some(amounts.clone()),
        requests: Some(amounts),
        claims: None,
    }
}

fn environment(spec: &PeftSearchSpec) -> Vec<EnvVar> {
    let plain = |name: &str, value: &str| EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    };
    // Else libtorch takes a thread for each core of the node, which then wait for one another's share of
    // the limit; and the score, which depends on their number, would depend on the node.
    let threads = threads(&spec.trainer.resources.cpu).to_string();
    let mut variables = vec![
        plain("HOME", "/tmp"),
        plain("HF_HOME", "/tmp/huggingface"),
        plain("OMP_NUM_THREADS", &threads),
    ];
    // A trainer that misses them loads libtorch twice.
    variables.extend(TRAINER_ENVIRONMENT.map(|(name, value)| plain(name, value)));
    variables.extend(tokens(spec));
    variables
}

/// The hub's tokens. One that is given once is for both sources: the other may be of the same owner.
fn tokens(spec: &PeftSearchSpec) -> Vec<EnvVar> {
    let given = |source: &Source| source.hub.as_ref()?.token_secret_ref.clone();
    let (model, data) = (given(&spec.model.source), given(&spec.task.source));
    let own = data.clone().filter(|data| {
        let model = model.as_ref();
        model.is_some_and(|model| model != data)
    });
    let named = [(TOKEN, model.or(data)), (DATA_TOKEN, own)];
    named
        .into_iter()
        .filter_map(|(name, secret)| Some(token(name, secret?)))
        .collect()
}

fn token(name: &str, secret: SecretKeyRef) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.name,
                key: secret.key,
                optional: Some(false),
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// The threads of a trainer with so many cores: these, rounded up.
fn threads(cpu: &str) -> u32 {
    let cores: f64 = match cpu.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().unwrap_or(0.0) / 1000.0,
        None => cpu.parse().unwrap_or(0.0),
    };
    // More would take all the processes that a pod is allowed.
    cores.ceil().clamp(1.0, 512.0) as u32
}

/// The request, room for temporary files, every claim once, and images.
fn volumes(spec: &PeftSearchSpec) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut volumes = vec![
        Volume {
            name: "request".into(),
            downward_api: Some(DownwardAPIVolumeSource {
                default_mode: Some(0o444),
                default_user: None,
                items: Some(vec![DownwardAPIVolumeFile {
                    path: "request.json".into(),
                    field_ref: Some(ObjectFieldSelector {
                        api_version: Some("v1".into()),
                        field_path: format!("metadata.annotations['{}']", names::REQUEST),
                    }),
                    ..DownwardAPIVolumeFile::default()
                }]),
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".into(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
    ];
    let mount = |name: &str, path: String, read_only: bool| VolumeMount {
        name: name.into(),
        mount_path: path,
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount("request", REQUEST_FOLDER.into(), true),
        mount("tmp", "/tmp".into(), false),
    ];
    let sources = [(MODEL, &spec.model.source), (DATA, &spec.task.source)];
    let read: BTreeSet<&str> = sources
        .iter()
        .filter_map(|(_, source)| Some(source.claim.as_ref()?.name.as_str()))
        .collect();
    let written = spec.trainer.artifacts_claim.as_ref();
    let written = written.map(|claim| claim.name.as_str());
    // Some storage drivers refuse a pod that names one claim in two volumes.
    let claims: BTreeSet<&str> = read.iter().copied().chain(written).collect();
    for (index, claim) in claims.into_iter().enumerate() {
        let name = format!("claim-{index}");
        if read.contains(claim) {
            mounts.push(mount(&name, format!("{CLAIMS}/{claim}"), true));
        }
        let is_written = written == Some(claim);
        if is_written {
            mounts.push(mount(&name, ARTIFACTS.into(), false));
        }
        volumes.push(Volume {
            name,
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.into(),
                read_only: (!is_written).then_some(true),
            }),
            ..Volume::default()
        });
    }
    for (owner, source) in sources {
        let Some(image) = &source.image else { continue };
        let name = format!("image-{owner}");
        mounts.push(mount(&name, format!("{IMAGES}/{owner}"), true));
        volumes.push(Volume {
            name,
            image: Some(ImageVolumeSource {
                reference: Some(image.reference.clone()),
                pull_policy: None,
            }),
            ..Volume::default()
        });
    }
    (volumes, mounts)
}

#[cfg(test)]
mod tests {
    use super::threads;

    #[test]
    fn a_trainer_has_a_thread_for_each_of_its_cores_and_a_part_of_one() {
        for (cpu, expected) in [
            ("2", 2),
            ("1500m", 2),
            ("2000m", 2),
            ("50m", 1),
            ("0.5", 1),
            ("3.001", 4),
            ("0", 1),
        ] {
            assert_eq!(threads(cpu), expected, "{cpu}");
        }
    }
}
