//! The chart of a release, as `charts/images/release.sh` packs it.

use std::path::Path;
use std::process::Command;

use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::helm::{helm, run};
use serde_json::json;

/// An archive whose index has this digest: nothing else of it is read.
fn archive(folder: &Path, name: &str, digest: &str) {
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
    }]});
    std::fs::write(folder.join("index.json"), index.to_string()).expect("an index");
    run(Command::new("tar")
        .args(["-cf", name, "index.json"])
        .current_dir(folder));
}

#[test]
fn the_chart_of_a_release_names_its_images_by_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let (operator, trainer) = ("a".repeat(64), "b".repeat(64));
    archive(folder.path(), "operator.oci", &format!("sha256:{operator}"));
    archive(folder.path(), "trainer.oci", &format!("sha256:{trainer}"));
    run(Command::new(root().join("charts/images/release.sh"))
        .args(["chart".as_ref(), folder.path()])
        .env("REGISTRY", "registry.example.com/team"));
    let chart = folder
        .path()
        .join(format!("autopeft-{}.tgz", env!("CARGO_PKG_VERSION")));
    let rendered = run(helm().args(["template", "one"]).arg(&chart));
    for (field, image) in [
        ("image:", format!("autopeft-operator@sha256:{operator}")),
        ("value:", format!("autopeft-trainer@sha256:{trainer}")),
    ] {
        let line = format!("{field} registry.example.com/team/{image}");
        assert!(rendered.contains(&line), "there is no {line}");
    }
    run(helm().args(["lint", "--strict"]).arg(&chart));
}
