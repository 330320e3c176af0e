//! The pod of a trainer: it meets the restricted Pod Security profile and has no service account token. No
//! I/O.

use std::collections::BTreeMap;

use autopeft_crds::limits::THREADS;
use autopeft_crds::spec::{SecretKeyRef, Source, TrainerSpec};
use autopeft_crds::trial::TRAINER_ENVIRONMENT;
use autopeft_crds::{PeftSearch, PeftSearchSpec};
use autopeft_search::notices::Notice;
use autopeft_search::request;
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, EnvVarSource, LocalObjectReference, PodSecurityContext,
    PodSpec, ResourceRequirements, SeccompProfile, SecretKeySelector, SecurityContext, Toleration,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::names::{self, CONTAINER, Work};
use super::volumes::{REQUEST_FILE, REQUEST_FOLDER, volumes};

/// The variable with the hub's token.
const TOKEN: &str = "HF_TOKEN";
/// The variable with the data's token, if the model has another.
const DATA_TOKEN: &str = "HF_TOKEN_DATA";
/// Where a trainer leaves its result: the kubelet reads it when the container ends.
const RESULT: &str = "/dev/termination-log";
/// The user that trainers run as, which does not exist on nodes.
const USER: i64 = 65_532;

/// Defaults for every trainer.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The trainer's image, where the search names none.
    pub image: String,
}

/// `data` is the sources of the data that the trainer reads.
pub(super) fn pod(
    spec: &PeftSearchSpec,
    work: Work,
    data: &[Source],
    defaults: &Defaults,
) -> PodSpec {
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
    let (volumes, mounts) = volumes(spec, data);
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
            // This group can write to the claim for adapters.
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
        containers: vec![container(spec, work, data, defaults, mounts)],
        ..PodSpec::default()
    }
}

fn toleration(given: &autopeft_crds::spec::TrainerToleration) -> Toleration {
    let autopeft_crds::spec::TrainerToleration {
        key,
        operator: _,
        value,
        effect,
        toleration_seconds,
    } = given;
    Toleration {
        key: Some(key.clone()),
        operator: Some(given.operator().as_str().into()),
        value: value.clone(),
        effect: effect.map(|effect| effect.as_str().into()),
        toleration_seconds: toleration_seconds.and_then(|seconds| seconds.try_into().ok()),
    }
}

/// Warns of images named by tag, once: before the search has a status.
pub fn image_by_tag(search: &PeftSearch) -> Option<Notice> {
    let tags = tags(&search.spec);
    if search.status.is_some() || tags.is_empty() {
        return None;
    }
    let message = format!(
        "{}: a tag can be moved to another image while the search runs; use digests (NAME@sha256:...)",
        tags.join(", ")
    );
    Some(Notice::warning("ImageByTag", message))
}

/// The images that a search itself names by a tag, not by a digest.
fn tags(spec: &PeftSearchSpec) -> Vec<&str> {
    let others = request::others(spec).iter().map(|other| &other.task.source);
    let sources = [&spec.model.source, &spec.task.source];
    let volumes = sources
        .into_iter()
        .chain(others)
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
    work: Work,
    data: &[Source],
    defaults: &Defaults,
    mounts: Vec<VolumeMount>,
) -> Container {
    let verb = match work {
        Work::Inspection => "inspect",
        Work::Trial(_) => "trial",
    };
    let request = format!("{REQUEST_FOLDER}/{REQUEST_FILE}");
    let arguments = [
        verb,
        "--request",
        &request,
        "--result",
        RESULT,
        // A requested GPU must be used; without a request none may be.
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
        env: Some(environment(spec, data)),
        resources: Some(resources(spec)),
        termination_message_path: Some(RESULT.into()),
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

/// Requests equal limits.
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

fn environment(spec: &PeftSearchSpec, data: &[Source]) -> Vec<EnvVar> {
    let plain = |name: &str, value: &str| EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    };
    // Otherwise libtorch starts a thread per core of the node: they would be throttled by the CPU limit, and
    // the score, which depends on their number, would depend on the node.
    let threads = threads(&spec.trainer.resources.cpu).to_string();
    let mut variables = vec![
        plain("HOME", "/tmp"),
        plain("HF_HOME", "/tmp/huggingface"),
        plain("OMP_NUM_THREADS", &threads),
    ];
    // A trainer without them executes itself again, and loads libtorch twice.
    variables.extend(TRAINER_ENVIRONMENT.map(|(name, value)| plain(name, value)));
    variables.extend(tokens(spec, data));
    variables
}

/// The hub's tokens. A single one is used for all sources: they may have the same owner. Those of the data are the same
/// (the rules of `spec.transfer`).
fn tokens(spec: &PeftSearchSpec, data: &[Source]) -> Vec<EnvVar> {
    let given = |source: &Source| source.hub.as_ref()?.token_secret_ref.clone();
    let (model, data) = (given(&spec.model.source), data.iter().find_map(given));
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

/// The threads of a trainer: its cores, rounded up.
fn threads(cpu: &str) -> u32 {
    let cores: f64 = match cpu.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().unwrap_or(0.0) / 1000.0,
        None => cpu.parse().unwrap_or(0.0),
    };
    // More would exceed the pod's PID limit.
    cores
        .ceil()
        .clamp(THREADS.least as f64, THREADS.most as f64) as u32
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
