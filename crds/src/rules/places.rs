//! Where rules hold.

use serde_json::Value;

/// Whose rules hold elsewhere too. The schema does not carry them there: repeated for each task of a list, they would
/// cost more than an API server allows for CEL.
const REPEATED: [(&str, &str); 2] = [
    ("spec.task", "spec.transfer.tasks[].task"),
    (
        "spec.promotion.evaluation",
        "spec.transfer.tasks[].evaluation",
    ),
];

/// A place, and the one where its rules hold too.
pub(super) fn all(place: &str) -> impl Iterator<Item = String> {
    let elsewhere = REPEATED.iter().find_map(|(of, at)| {
        let below = place.strip_prefix(of)?;
        (below.is_empty() || below.starts_with('.')).then(|| format!("{at}{below}"))
    });
    [place.to_owned()].into_iter().chain(elsewhere)
}

/// Calls `found` with every value at a place, and its path.
pub(super) fn visit(spec: &Value, place: &str, found: &mut dyn FnMut(&Value, &str)) {
    let parts: Vec<&str> = place.split('.').skip(1).collect();
    visit_parts(spec, &parts, "spec".to_owned(), found);
}

fn visit_parts(value: &Value, parts: &[&str], path: String, found: &mut dyn FnMut(&Value, &str)) {
    let Some((part, rest)) = parts.split_first() else {
        return found(value, &path);
    };
    let name = part.trim_end_matches("[]");
    let path = format!("{path}.{name}");
    match value.get(name) {
        None | Some(Value::Null) => {}
        Some(list) if part.ends_with("[]") => {
            for (index, entry) in list.as_array().into_iter().flatten().enumerate() {
                visit_parts(entry, rest, format!("{path}[{index}]"), found);
            }
        }
        Some(below) => visit_parts(below, rest, path, found),
    }
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn the_rules_of_a_task_hold_for_each_task_of_a_transfer() {
        let all = |place| all(place).collect::<Vec<String>>();
        let metric = ["spec.task.metric", "spec.transfer.tasks[].task.metric"];
        assert_eq!(all("spec.task.metric"), metric);
        assert_eq!(
            all("spec.task"),
            ["spec.task", "spec.transfer.tasks[].task"]
        );
        let file = "spec.promotion.evaluation.testFile";
        assert_eq!(all(file)[1], "spec.transfer.tasks[].evaluation.testFile");
        for place in ["spec", "spec.model.source", "spec.promotion", "spec.tasks"] {
            assert_eq!(all(place), [place]);
        }
    }
}
