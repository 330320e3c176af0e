//! A manifest, a work directory and the program, ready to be used and abused.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use autopeft_crds::status::{LedgerEntry, PeftSearchStatus};
use autopeft_operator::local::manifest;

/// A folder with everything that a search needs.
pub struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// A search of eight trials, five of them drawn, on small settings. `more` is put into the spec.
    pub fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["model", "data"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let bench = Self { folder };
        bench.rewrite(more);
        bench
    }

    /// Writes the manifest anew.
    pub fn rewrite(&self, more: &str) {
        let head = "apiVersion: autopeft.dev/v1alpha1
kind: PeftSearch
metadata: { name: bench }
spec:
  model: { source: { path: model } }
  task: { name: rte, source: { path: data } }
  algorithm:
    seed: 3
    initialTrials: 5
    nuts: { warmup: 32, samples: 16, thinning: 4 }
    localSearch: { restarts: 2, evaluations: 20 }
";
        let budget = if more.contains("maxTrials") {
            ""
        } else {
            "  maxTrials: 8\n"
        };
        let more: String = more
            .lines()
            .map(|line| format!("  {}\n", line.trim()))
            .collect();
        std::fs::write(self.manifest(), format!("{head}{budget}{more}")).expect("a manifest");
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn manifest(&self) -> PathBuf {
        self.path().join("search.yaml")
    }

    pub fn workdir(&self) -> PathBuf {
        self.path().join("work")
    }

    /// `peft-operator run`, ready to be started.
    pub fn run(&self) -> Command {
        self.run_in(&self.workdir())
    }

    pub fn run_in(&self, workdir: &Path) -> Command {
        let mut command = operator();
        command
            .arg("run")
            .arg(self.manifest())
            .arg("--workdir")
            .arg(workdir)
            .arg("--trainer")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/local/trainer.sh"))
            .env("FAKE_STARTS", self.path().join("starts"));
        command
    }

    /// The attempts that trainers were started for: `trial/attempt`.
    pub fn starts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path().join("starts")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect()
    }

    /// Checks that no attempt was started twice.
    pub fn assert_started_once(&self) {
        let mut starts = self.starts();
        let all = starts.len();
        starts.sort();
        starts.dedup();
        assert_eq!(starts.len(), all, "an attempt was started twice");
    }

    pub fn status(&self) -> PeftSearchStatus {
        status(&self.workdir())
    }

    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.status().ledger
    }

    /// The reason of the condition Succeeded.
    pub fn reason(&self) -> String {
        let status = self.status();
        let mut found = status.conditions.into_iter();
        let succeeded = found.find(|condition| condition.type_ == "Succeeded");
        succeeded.expect("the condition").reason
    }
}

pub fn operator() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peft-operator"));
    command.stdin(Stdio::null());
    command
}

/// status.yaml is a manifest too, so the same reader judges it.
pub fn status(workdir: &Path) -> PeftSearchStatus {
    let search = manifest::read(&workdir.join("status.yaml"))
        .expect("status.yaml")
        .search;
    search.status.expect("a status")
}

/// Runs to the end; the exit code, and what was said on either stream.
pub fn finish(command: &mut Command) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    let text = [stdout, stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    (status.code().unwrap_or(-1), text)
}

/// Runs to a good end.
pub fn succeed(command: &mut Command) -> String {
    let (code, text) = finish(command);
    assert_eq!(code, 0, "{text}");
    text
}

/// Runs to a bad end with one message in which all of `words` occur.
pub fn fail(command: &mut Command, words: &[&str]) -> String {
    let (code, text) = finish(command);
    assert_ne!(code, 0, "it succeeded:\n{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not said:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// What must not depend on interruptions: everything but times and attempts.
pub fn essence(mut ledger: Vec<LedgerEntry>) -> Vec<LedgerEntry> {
    for entry in &mut ledger {
        entry.attempt = 1;
        entry.planned_at = None;
        entry.finished_at = None;
    }
    ledger
}
