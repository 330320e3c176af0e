//! The volumes of a trainer's pod: its request, model, data and the claim for adapters. No I/O.

use std::collections::BTreeSet;

use autopeft_crds::PeftSearch;
use autopeft_crds::PeftSearchSpec;
use autopeft_crds::configuration::hex_prefix;
use autopeft_crds::spec::{ClaimSource, ImageSource, Source, TaskSpec};
use autopeft_search::locations::others;
use autopeft_search::request::Locations;
use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, ImageVolumeSource,
    ObjectFieldSelector, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
};

use super::names;

/// Where claims are mounted in a trainer's pod.
pub const CLAIMS: &str = "/mnt/claims";
/// Where image volumes are mounted.
pub const IMAGES: &str = "/mnt/images";
/// Where the claim for artifacts is mounted.
pub const ARTIFACTS: &str = "/mnt/artifacts";
/// Where the request is mounted.
pub(super) const REQUEST_FOLDER: &str = "/etc/autopeft";
/// Its file there.
pub(super) const REQUEST_FILE: &str = "request.json";

/// Why a search cannot run in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A path on a local machine.
    #[error(
        "{0}.source.path: a path on a machine is for `peft-operator run` only; in a cluster give claim, image or hub"
    )]
    Path(String),
    /// None of the sources.
    #[error("{0}.source: nothing is given; give claim, image or hub")]
    Nothing(String),
}

/// Where the trainer's pod finds model and data, and where it stores adapters.
pub fn locations(search: &PeftSearch) -> Result<Locations, LocationError> {
    let spec = &search.spec;
    let artifacts = spec.trainer.artifacts_claim.as_ref();
    Ok(Locations {
        model: location(&spec.model.source, "spec.model", MODEL)?,
        data: location(&spec.task.source, "spec.task", DATA)?,
        others: of_others(search)?,
        artifacts: artifacts.map(|ClaimSource { name: _, path }| {
            let search = names::search_mark(search);
            format!("{}/{search}", inside(ARTIFACTS, path))
        }),
        promoted: None,
    })
}

/// Where the data of the tasks of `spec.transfer` is, and that of trials whose task it no longer names.
fn of_others(search: &PeftSearch) -> Result<Vec<(TaskSpec, String)>, LocationError> {
    let spec = &search.spec;
    let find = |task: &TaskSpec, field: &str| -> Result<(TaskSpec, String), LocationError> {
        let volume = image_volume(spec, &task.source);
        Ok((task.clone(), location(&task.source, field, &volume)?))
    };
    let named = others(spec).map(|(task, owner)| find(task, &owner.field));
    let mut found: Vec<(TaskSpec, String)> = named.collect::<Result<_, _>>()?;
    let ledger = search.status.iter().flat_map(|status| &status.ledger);
    let had = ledger.filter_map(|entry| entry.terms.as_ref()?.task.as_ref());
    for task in had {
        let is_known = found.iter().any(|(known, _)| known == task);
        if !is_known && let Ok(other) = find(task, "terms.task") {
            found.push(other);
        }
    }
    Ok(found)
}

/// The image volume of a task's data: by the image where it is not that of `spec.task`, so that it depends on nothing
/// else.
pub fn image_volume(spec: &PeftSearchSpec, source: &Source) -> String {
    let reference = |source: &Source| Some(source.image.as_ref()?.reference.clone());
    match reference(source) {
        Some(other) if reference(&spec.task.source).as_ref() != Some(&other) => {
            format!("{DATA}-{}", hex_prefix(other.as_bytes()))
        }
        _ => DATA.to_owned(),
    }
}

/// Where adapters are stored, for people: the claim and the folder on it.
pub fn artifacts(search: &PeftSearch) -> Option<String> {
    let ClaimSource { name, path } = search.spec.trainer.artifacts_claim.as_ref()?;
    let folder = names::search_mark(search);
    Some(match path.trim_matches('/') {
        "" => format!("{name}: {folder}"),
        path => format!("{name}: {path}/{folder}"),
    })
}

/// The image volume of the model.
pub const MODEL: &str = "model";
/// The image volume of the data.
pub const DATA: &str = "data";

fn location(source: &Source, field: &str, volume: &str) -> Result<String, LocationError> {
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
        (Some(_), ..) => Err(LocationError::Path(field.into())),
        _ => Err(LocationError::Nothing(field.into())),
    }
}

/// A path inside a directory.
fn inside(directory: &str, path: &str) -> String {
    match path.trim_matches('/') {
        "" => directory.to_owned(),
        path => format!("{directory}/{path}"),
    }
}

/// The sources that a pod mounts, each with the name of its image volume.
fn mounted<'a>(spec: &'a PeftSearchSpec, data: &'a [Source]) -> Vec<(String, &'a Source)> {
    let mut sources = vec![(MODEL.to_owned(), &spec.model.source)];
    for source in data {
        let volume = image_volume(spec, source);
        // One image is mounted once, as one claim is.
        let is_mounted = sources.iter().any(|(known, _)| *known == volume);
        if source.image.is_none() || !is_mounted {
            sources.push((volume, source));
        }
    }
    sources
}

/// The request, a directory for temporary files, every claim once, and images; `data` is the sources of the data.
pub(super) fn volumes(spec: &PeftSearchSpec, data: &[Source]) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut volumes = vec![
        Volume {
            name: "request".into(),
            downward_api: Some(DownwardAPIVolumeSource {
                default_mode: Some(0o444),
                default_user: None,
                items: Some(vec![DownwardAPIVolumeFile {
                    path: REQUEST_FILE.into(),
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
    let sources = mounted(spec, data);
    let read: BTreeSet<&str> = sources
        .iter()
        .filter_map(|(_, source)| Some(source.claim.as_ref()?.name.as_str()))
        .collect();
    let written = spec.trainer.artifacts_claim.as_ref();
    let written = written.map(|claim| claim.name.as_str());
    // Some storage drivers reject a pod with one claim in two volumes.
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
