//! SuperGLUE's tasks, multiple choice and sets of classes: how files become texts and targets.

use autopeft_crds::spec::TaskSpec;
use autopeft_trainer::task::{Kind, Sets, Targets};
use serde_json::{Value, json};

use crate::data::{classes, custom, load, refused};

fn known(name: &str, more: Value) -> TaskSpec {
    let mut task = json!({"name": name, "source": {}});
    for (field, value) in more.as_object().into_iter().flatten() {
        task[field] = value.clone();
    }
    serde_json::from_value(task).expect("a task")
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn superglues_files_are_read_in_their_own_layout() {
    let boolq = b"{\"question\": \"q\", \"passage\": \"p\", \"label\": true, \"idx\": 0}\n\
                  {\"question\": \"r\", \"passage\": \"s\", \"label\": false, \"idx\": 1}\n";
    // Copies of the archive name the validation file in two ways.
    for validation in ["val.jsonl", "dev.jsonl"] {
        let folder = format!("BoolQ/{validation}");
        let files: [(&str, &[u8]); 2] = [("BoolQ/train.jsonl", boolq), (&folder, boolq)];
        let task = load(&known("boolq", json!({})), &files);
        assert_eq!(task.kind, Kind::Classification(names(&["false", "true"])));
        assert_eq!(classes(&task.train), [1, 0]);
        assert_eq!(task.train.texts[0], ("p".into(), Some("q".into())));
    }
    let cb = b"{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": \"neutral\"}\n\
               {\"premise\": \"p\", \"hypothesis\": \"i\", \"label\": \"contradiction\"}\n";
    let files: [(&str, &[u8]); 2] = [("train.jsonl", cb), ("val.jsonl", cb)];
    let task = load(&known("cb", json!({"metric": "MacroF1"})), &files);
    // The order of the hub's numbers.
    assert_eq!(classes(&task.train), [2, 1]);
}

#[test]
fn wic_is_one_text_with_separators() {
    let wic = b"{\"word\": \"w\", \"sentence1\": \"a w\", \"sentence2\": \"b w\", \"label\": true, \"start1\": 2}\n\
                {\"word\": \"v\", \"sentence1\": \"v\", \"sentence2\": \"v\", \"label\": false, \"start1\": 0}\n";
    let files: [(&str, &[u8]); 2] = [("train.jsonl", wic), ("val.jsonl", wic)];
    let task = load(&known("wic", json!({})), &files);
    let texts = task.train.texts("[SEP]");
    assert_eq!(texts[0], ("a w[SEP]b w[SEP]w".into(), None));
    assert_eq!(classes(&task.train), [1, 0]);
}

#[test]
fn copa_has_a_text_per_choice_or_one_pair() {
    let copa = b"{\"premise\": \"P.\", \"choice1\": \"A.\", \"choice2\": \"B.\", \"question\": \"cause\", \"label\": 1}\n\
                 {\"premise\": \"Q.\", \"choice1\": \"C.\", \"choice2\": \"D.\", \"question\": \"effect\", \"label\": 0}\n";
    let files: [(&str, &[u8]); 2] = [("train.jsonl", copa), ("val.jsonl", copa)];
    let task = load(&known("copa", json!({})), &files);
    let choices = names(&["choice1", "choice2"]);
    assert_eq!(task.kind, Kind::MultipleChoice(choices.clone()));
    assert_eq!((task.kind.outputs(), task.train.len()), (1, 2));
    assert_eq!(classes(&task.train), [1, 0]);
    let start = "Q. What happened as a result?".to_owned();
    assert_eq!(task.train.texts[2], (start.clone(), Some("C.".into())));
    assert_eq!(task.train.texts[3], (start, Some("D.".into())));
    assert_eq!(task.train.at(&[1]).texts, task.train.texts[2..]);

    let task = load(&known("copa", json!({"form": "Pair"})), &files);
    assert_eq!(task.kind, Kind::Classification(choices));
    let cue = "P. What was the cause of this?";
    let pair = (format!("{cue} A."), Some(format!("{cue} B.")));
    assert_eq!(task.train.texts[0], pair);

    let odd = String::from_utf8_lossy(copa).replace("effect", "reason");
    let files: [(&str, &[u8]); 2] = [("train.jsonl", odd.as_bytes()), ("val.jsonl", copa)];
    let message = refused(&known("copa", json!({})), &files);
    assert!(
        message.contains("line 2, field \"question\"") && message.contains("\"reason\""),
        "{message}"
    );
    let message = refused(&known("rte", json!({"form": "Pair"})), &files);
    assert!(message.starts_with("spec.task.form"), "{message}");
}

#[test]
fn choices_of_ones_own_task_are_columns() {
    let csv = b"context,a,b,c,right\nx,1,2,3,0\ny,4,5,6,2\n";
    let files: [(&str, &[u8]); 2] = [("t.csv", csv), ("v.csv", csv)];
    let fields = json!({
        "type": "MultipleChoice", "textColumns": ["context"], "choiceColumns": ["a", "b", "c"],
        "labelColumn": "right", "trainFile": "t.csv", "validationFile": "v.csv",
    });
    let task = load(&custom(fields.clone()), &files);
    assert_eq!(classes(&task.train), [0, 2]);
    assert_eq!(task.train.texts[5], ("y".into(), Some("6".into())));
    let mut other = fields;
    other["choiceColumns"] = json!(["a", "z"]);
    let message = refused(&custom(other), &files);
    assert!(message.contains("choiceColumns names it"), "{message}");
}

#[test]
fn sets_of_classes_are_lists_or_delimited() {
    let jsonl = b"{\"text\": \"x\", \"label\": [\"b\", \"a\"]}\n{\"text\": \"y\", \"label\": []}\n";
    let csv = b"text,label\nx,b;a\ny,\n";
    let expected = Targets::Sets(Sets {
        classes: 2,
        members: vec![vec![0, 1], vec![]],
    });
    for (ending, content) in [("jsonl", &jsonl[..]), ("csv", &csv[..])] {
        let (train, validation) = (format!("t.{ending}"), format!("v.{ending}"));
        let spec = custom(json!({
            "type": "MultiLabel", "labelDelimiter": ";", "trainFile": train, "validationFile": validation,
        }));
        let task = load(&spec, &[(&train, content), (&validation, content)]);
        assert_eq!(task.kind, Kind::MultiLabel(names(&["a", "b"])));
        assert_eq!(task.train.targets, expected);
    }
    // The usual delimiter, a comma, separates nothing here.
    let spec =
        custom(json!({"type": "MultiLabel", "trainFile": "t.csv", "validationFile": "t.csv"}));
    let notes = load(&spec, &[("t.csv", b"text,label\nx,b;a\ny,a\n")]).notes;
    let warned = |note: &String| note.contains("no example has several classes");
    assert!(notes.iter().any(warned), "{notes:?}");
    // A list is no label of a classification.
    let spec = custom(json!({"trainFile": "t.jsonl", "validationFile": "t.jsonl"}));
    let message = refused(&spec, &[("t.jsonl", jsonl)]);
    assert!(
        message.contains("a string, a number, true or false"),
        "{message}"
    );
}
