//! Inputs of every bad kind: one clear message that names what is wrong, and nothing is lost.

use std::path::Path;

use super::bench::{Bench, fail, operator, succeed};

#[test]
fn a_missing_or_useless_trainer() {
    let bench = Bench::new("");
    let run = |path: &Path| {
        let mut command = bench.run();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = operator();
        command.args(&arguments[..arguments.len() - 1]).arg(path);
        command
    };
    fail(
        &mut run(Path::new("/nowhere/peft-trainer")),
        &["/nowhere/peft-trainer", "--trainer"],
    );
    fail(&mut run(&bench.manifest()), &["search.yaml", "--trainer"]);
    fail(
        &mut run(Path::new("/bin/true")),
        &["the output of /bin/true inspect is invalid"],
    );
    fail(
        bench.run().env("FAKE_INSPECT", "refuses"),
        &["data/train.jsonl:3: the column text is missing"],
    );
}

#[test]
fn directories_that_are_not_there() {
    let bench = Bench::new("");
    std::fs::remove_dir(bench.path().join("data")).expect("a folder");
    fail(
        &mut bench.run(),
        &["spec.task.source.path", "data", "No such file"],
    );
    fail(
        bench.run().args(["--data", "/nowhere"]),
        &["--data: /nowhere is not a directory"],
    );
    let model = bench.path().join("model");
    succeed(bench.run().arg("--data").arg(model));
}

#[test]
fn claims_without_a_directory() {
    let bench = Bench::new("");
    let text = std::fs::read_to_string(bench.manifest()).expect("the manifest");
    let text = text.replace("path: model", "claim: { name: weights, path: model }");
    std::fs::write(bench.manifest(), text).expect("the manifest");
    fail(
        &mut bench.run(),
        &["spec.model.source.claim.name", "--claim weights=DIR"],
    );
    fail(
        bench.run().args(["--claim", "weights"]),
        &["--claim models=/mnt/models"],
    );
    let claim = format!("weights={}", bench.path().display());
    succeed(bench.run().args(["--claim", &claim]));
}

#[test]
fn images_that_nobody_mounts() {
    let bench = Bench::new("");
    let text = std::fs::read_to_string(bench.manifest()).expect("the manifest");
    let image = "image: { reference: registry.example/model:1 }";
    std::fs::write(bench.manifest(), text.replace("path: model", image)).expect("the manifest");
    fail(
        &mut bench.run(),
        &["spec.model.source.image", "--model DIR"],
    );
}

#[test]
fn work_directories_that_cannot_be_used() {
    let bench = Bench::new("");
    fail(
        &mut bench.run_in(&bench.manifest().join("work")),
        &["search.yaml", "--workdir"],
    );
    fail(
        &mut bench.run_in(&bench.manifest()),
        &["search.yaml", "--workdir"],
    );
    fail(
        operator().arg("replay").arg(bench.path()),
        &["there is no search in this directory"],
    );
}

#[test]
fn another_search_in_the_same_directory() {
    let bench = Bench::new("maxTrials: 2");
    succeed(&mut bench.run());
    let text = std::fs::read_to_string(bench.manifest()).expect("the manifest");
    std::fs::write(bench.manifest(), text.replace("bench", "other")).expect("the manifest");
    fail(&mut bench.run(), &["\"bench\"", "\"other\"", "--workdir"]);
}

#[test]
fn other_data_under_the_same_name() {
    let bench = Bench::new("maxTrials: 2");
    succeed(&mut bench.run());
    bench.rewrite("maxTrials: 3");
    fail(
        bench.run().env("FAKE_EXAMPLES", "51"),
        &[
            "50 validation examples",
            "51 validation examples",
            "--workdir",
        ],
    );
}

#[test]
fn a_model_or_data_whose_files_have_changed() {
    let bench = Bench::new("maxTrials: 2");
    succeed(&mut bench.run());
    bench.rewrite("maxTrials: 3");
    let fingerprints = |model: &str, data: &str| {
        format!("\"modelFingerprint\":\"{model}\",\"dataFingerprint\":\"{data}\"")
    };
    for (given, words) in [
        (
            fingerprints("cc33", "bb22"),
            ["/model: the model is not the one", "aa11", "cc33"],
        ),
        (
            fingerprints("aa11", "dd44"),
            ["/data: the data is not the one", "bb22", "dd44"],
        ),
    ] {
        let said = fail(bench.run().env("FAKE_FINGERPRINTS", given), &words);
        assert!(
            said.contains("restore its files") && said.contains("--workdir"),
            "{said}"
        );
    }
    assert_eq!(bench.ledger().len(), 2);
    succeed(&mut bench.run());
    assert_eq!(bench.ledger().len(), 3);
}

#[test]
fn a_full_disk_loses_nothing() {
    let bench = Bench::new("maxTrials: 3");
    std::fs::create_dir(bench.workdir()).expect("a folder");
    let blocked = bench.workdir().join("status.yaml.part");
    std::os::unix::fs::symlink("/dev/full", &blocked).expect("a link");
    fail(
        &mut bench.run(),
        &[
            "status.yaml",
            "No space left on device",
            "no finished work is lost",
        ],
    );
    assert!(!blocked.is_symlink(), "a part is left behind");
    succeed(&mut bench.run());
    assert_eq!(bench.ledger().len(), 3);
}

#[test]
fn results_without_a_journal_are_not_searched_over() {
    let bench = Bench::new("maxTrials: 2");
    succeed(&mut bench.run());
    let journal = bench.workdir().join("journal.jsonl");
    std::fs::write(&journal, "").expect("emptied");
    let words = ["there are results in trials/", "journal.jsonl", "--workdir"];
    fail(&mut bench.run(), &words);
    std::fs::remove_file(&journal).expect("removed");
    fail(&mut bench.run(), &words);
    assert_eq!(bench.starts().len(), 2);
}

#[test]
fn a_damaged_journal_names_the_line() {
    let bench = Bench::new("maxTrials: 2");
    succeed(&mut bench.run());
    let journal = bench.workdir().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).expect("the journal");
    std::fs::write(&journal, text.replacen("\"recorded\"", "\"recor\"", 1)).expect("the journal");
    for mut command in [bench.run(), {
        let mut replay = operator();
        replay.arg("replay").arg(bench.workdir());
        replay
    }] {
        fail(&mut command, &["journal.jsonl:4: the journal is damaged"]);
    }
}

#[test]
fn a_bad_manifest_is_refused_before_anything_is_made() {
    let bench = Bench::new("maxTrails: 5");
    fail(
        &mut bench.run(),
        &["search.yaml:13: spec.maxTrails: there is no such field; did you mean maxTrials?"],
    );
    assert!(!bench.workdir().exists());
    bench.rewrite("");
    let said = fail(
        bench.run().args(["--parallelism", "65"]),
        &["--parallelism: 65 is too large; write a whole number from 1 to 64"],
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    fail(
        operator().arg("validate").arg("/nowhere.yaml"),
        &["/nowhere.yaml", "No such file"],
    );
    succeed(operator().arg("validate").arg(bench.manifest()));
}

#[test]
fn a_space_that_does_not_fit_the_model() {
    let bench = Bench::new(
        "searchSpace: { dimensions: [{ name: layers, mask: \"**\" }, { name: prefix }] }",
    );
    fail(
        &mut bench.run(),
        &[
            "spec.searchSpace.dimensions[0].mask: layers: ",
            "the model has 4 layers",
        ],
    );
}

#[test]
fn a_bound_that_nothing_in_the_space_meets() {
    let bench = Bench::new(
        "searchSpace: { dimensions: [{ name: prefix, sizes: [4, 8] }] }
         objectives: [{ name: score }, { name: trainableParameters, bound: \"0.2\" }]",
    );
    let said = fail(
        &mut bench.run(),
        &[
            "spec.objectives[1].bound: 0.2 % of the backbone is 2000 parameters",
            "has 2048 (0.205 %)",
        ],
    );
    assert!(!bench.workdir().join("journal.jsonl").exists(), "{said}");
}

#[test]
fn a_search_that_never_asks_the_surrogate_is_warned_of() {
    let bench = Bench::new("maxTrials: 5");
    let warning = "spec.algorithm.initialTrials: 5 is not below maxTrials, 5";
    for mut command in [bench.run(), {
        let mut validate = operator();
        validate.arg("validate").arg(bench.manifest());
        validate
    }] {
        let said = succeed(&mut command);
        assert!(said.contains(warning), "{said}");
    }
    bench.rewrite("maxTrials: 6");
    let said = succeed(operator().arg("validate").arg(bench.manifest()));
    assert!(!said.contains("initialTrials"), "{said}");
}

/// `run` carries them out; a cluster does not.
#[test]
fn what_a_cluster_refuses_or_passes_over_is_told_by_validate_alone() {
    let bench = Bench::new("maxTrials: 6\nmaxGpuSeconds: 100");
    let warnings = [
        "spec.model.source.path: a directory on this machine",
        "spec.task.source.path: a directory on this machine",
        "spec.maxGpuSeconds: in a cluster it never takes effect",
    ];
    let mut validate = operator();
    let said = succeed(validate.arg("validate").arg(bench.manifest()));
    for warning in warnings {
        assert!(said.contains(warning), "{said}");
    }
    let said = succeed(&mut bench.run());
    for warning in warnings {
        assert!(!said.contains(warning), "{said}");
    }
    bench.rewrite("maxTrials: 6\nmaxGpuSeconds: 100\ntrainer: { resources: { gpus: 1 } }");
    let said = succeed(operator().arg("validate").arg(bench.manifest()));
    assert!(!said.contains("maxGpuSeconds"), "{said}");
}
