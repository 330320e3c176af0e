//! A task in GLUE's two layouts, added by a row of facts alone.

use autopeft_crds::spec::{Metric, TaskName};
use autopeft_crds::tasks::{TaskFacts, TextForm};
use autopeft_trainer::task::{Family, Glue, Kind, Targets, TaskError, load_of};

/// The row. A task of its own would have a variant of `TaskName`.
const SARCASM: TaskFacts = TaskFacts {
    task: TaskName::Sst2,
    name: "sarcasm",
    data_set: "owner/sarcasm",
    folder: "Sarcasm",
    metric: Metric::F1,
    own_text: ("remark", Some("reply")),
    own_label: "mood",
    own_header: None,
    own_skips_short_rows: true,
    own_train: "train.tsv",
    own_validation: &["heldout.tsv"],
    form: TextForm::Plain,
    hub_text: ("remark", Some("reply")),
    hub_validation: "test",
    classes: &["earnest", "sarcastic"],
    own_classes: &["n", "y"],
};

#[test]
fn a_task_of_its_own_is_read_by_its_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("Sarcasm");
    std::fs::create_dir(&inside).expect("a folder");
    let train = "mood\tremark\treply\ny\tOh, great.\tIs it?\nn\tGreat!\tYes.\nshort\n";
    std::fs::write(inside.join("train.tsv"), train).expect("a file");
    let missing =
        load_of(&Glue::new(&SARCASM), SARCASM.metric, folder.path()).expect_err("refused");
    assert_eq!(
        missing.to_string(),
        format!(
            "spec.task.source: {} has train.tsv but not heldout.tsv; sarcasm needs both",
            inside.display()
        )
    );

    let validation = "remark\treply\tmood\nA \"quote.\tNo.\ty\n";
    std::fs::write(inside.join("heldout.tsv"), validation).expect("a file");
    let task = load_of(&Glue::new(&SARCASM), SARCASM.metric, folder.path()).expect("a task");
    let names = ["earnest", "sarcastic"].map(str::to_owned).to_vec();
    assert_eq!(task.kind, Kind::Classification(names));
    assert_eq!(task.metric, Metric::F1);
    assert_eq!(task.train.targets, Targets::Classes(vec![1, 0]));
    let (remark, reply) = &task.validation.texts[0];
    assert_eq!(
        (remark.as_str(), reply.as_deref()),
        ("A \"quote.", Some("No."))
    );
    assert_eq!(task.notes.len(), 1, "{:?}", task.notes);

    std::fs::write(inside.join("heldout.tsv"), "sentence\tlabel\na\t1\n").expect("a file");
    let error = load_of(&Glue::new(&SARCASM), SARCASM.metric, folder.path()).expect_err("refused");
    assert!(matches!(error, TaskError::OtherTask { .. }), "{error}");
    assert!(
        error.to_string().ends_with("and spec.task.name is sarcasm"),
        "{error}"
    );
}

#[test]
fn a_task_of_its_own_has_files_in_the_hub() {
    assert_eq!(
        Glue::new(&SARCASM).hub_files(),
        [
            "sarcasm/train-00000-of-00001.parquet",
            "sarcasm/test-00000-of-00001.parquet"
        ]
    );
}
