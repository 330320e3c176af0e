//! `peft-operator compare` on work directories of real runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::bench::{Bench, fail, operator, status, succeed};

/// `peft-operator compare`, which writes its page into a folder.
fn compare(folder: &Path, workdirs: &[&Path]) -> Command {
    let mut command = operator();
    command.arg("compare").args(workdirs).current_dir(folder);
    command
}

/// A Bayesian search with baselines and trainings in full, and two random ones that differ in the seed.
fn studies(bench: &Bench) -> [PathBuf; 3] {
    let folders = ["bayesian", "random", "random-2"].map(|name| bench.path().join(name));
    let manifests = [
        "baselines: [SerialAdapter, AdapterDrop]\npromotion: { seeds: 2, epochs: 3, maxConfigurations: 2 }",
        "maxTrials: 5",
        "maxTrials: 5\ntraining: { seed: 77 }",
    ];
    for (folder, manifest) in folders.iter().zip(manifests) {
        bench.rewrite(manifest);
        succeed(&mut bench.run_in(folder));
    }
    folders
}

#[test]
fn searches_are_compared_on_one_page() {
    let bench = Bench::new("");
    let folders = studies(&bench);
    let workdirs: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let text =
        succeed(compare(bench.path(), &workdirs).args(["--csv", "trials.csv", "--budget", "10%"]));
    for words in [
        "rte, accuracy, model",
        "best within 10 %",
        "specialised AdapterDrop",
        "trained in full",
        "at equal trials: in ",
        "of 2 pairs of a Bayesian and a random search",
        "cost of the searches",
        "page: compare.html",
    ] {
        assert!(text.contains(words), "{words:?} is not said:\n{text}");
    }
    // Both random searches are one kind: they differ in the seed alone.
    let random = text.lines().find(|line| line.starts_with("random"));
    let random = random.expect("the random searches");
    for folder in &folders[1..] {
        assert!(random.contains(&folder.display().to_string()), "{random}");
    }
    let read = |name: &str| std::fs::read_to_string(bench.path().join(name)).expect("a file");
    let page = read("compare.html");
    for words in [
        "Fronts",
        "Bayesian against random",
        "Layer selection within 10 %",
        "Discovered configurations",
    ] {
        assert!(page.contains(words), "{words:?} is not on the page");
    }
    let entries: usize = folders
        .iter()
        .map(|folder| status(folder).ledger.len())
        .sum();
    assert_eq!(read("trials.csv").lines().count(), 1 + entries);

    // The page can have another name, and a search that is compared is left as it was.
    let journal =
        |folder: &PathBuf| std::fs::read(folder.join("journal.jsonl")).expect("a journal");
    let before: Vec<Vec<u8>> = folders.iter().map(journal).collect();
    succeed(compare(bench.path(), &workdirs[..1]).args(["--out", "other.html"]));
    assert!(read("other.html").contains("1 PEFT search compared"));
    assert_eq!(folders.iter().map(journal).collect::<Vec<_>>(), before);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let bench = Bench::new("maxTrials: 1");
    succeed(&mut bench.run());
    let workdir = bench.workdir();
    let again = bench.path().join("./work/../work");
    let page = bench.path().join("compare.html");
    for (workdirs, words) in [
        (
            vec![workdir.as_path(), &again],
            "are the same search; name each search once",
        ),
        (vec![bench.path()], "there is no search in this directory"),
        (
            vec![Path::new("nowhere")],
            "nowhere: no such directory; give work directories",
        ),
    ] {
        fail(&mut compare(bench.path(), &workdirs), &[words]);
    }
    let waiting = bench.path().join("waiting");
    bench.rewrite("suspend: true");
    succeed(&mut bench.run_in(&waiting));
    fail(
        &mut compare(bench.path(), &[&workdir, &waiting]),
        &["waiting: no trial has a score yet"],
    );
    let one = || compare(bench.path(), &[&workdir]);
    fail(one().args(["--budget", "much"]), &["such as 1%"]);
    fail(
        one().args(["--out", "no/such/folder.html"]),
        &["folder.html"],
    );
    fail(&mut compare(bench.path(), &[]), &["<DIR>"]);
    assert!(!page.exists(), "a refused comparison has written a page");
}

#[test]
fn a_journal_of_0_1_0_is_compared() {
    let bench = Bench::new("maxTrials: 2");
    succeed(&mut bench.run());
    let old = bench.path().join("old");
    std::fs::create_dir(&old).expect("a folder");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/journal-0.1.0.jsonl");
    std::fs::copy(kept, old.join("journal.jsonl")).expect("a journal");
    let text = succeed(&mut compare(bench.path(), &[&old, &bench.workdir()]));
    assert!(text.contains("page: compare.html"), "{text}");
}
