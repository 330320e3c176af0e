//! The space and the objectives.

use autopeft_crds::limits::DIMENSIONS;
use autopeft_crds::space::DimensionName;
use serde_json::{Value, json};

use super::{BadInput, good, refused_below, set, told_later};

pub(super) fn rows() -> Vec<BadInput> {
    let mut rows = space();
    rows.extend(objectives());
    rows
}

fn space() -> Vec<BadInput> {
    let dimension = |dimension: Value| json!([dimension]);
    let sizes = |sizes: Value| dimension(json!({"name": "serialAdapter", "sizes": sizes}));
    let mask = |mask: &str| dimension(json!({"name": "layers", "mask": mask}));
    let case = |name: &str, dimensions: Value, below: &str, admission, words: &str| {
        let pointer = "/searchSpace/dimensions";
        refused_below(name, pointer, dimensions, below, admission, words)
    };
    // Every dimension once, and one of them again.
    let names = DimensionName::ALL.into_iter().map(DimensionName::as_str);
    let too_many: Vec<Value> = names
        .chain(["prefix"])
        .map(|name| json!({"name": name}))
        .collect();
    let range = format!("give 1 to {}", DIMENSIONS.most);
    let twice = json!([{"name": "prefix"}, {"name": "prefix"}]);
    let many = json!((0..65).collect::<Vec<u32>>());
    vec![
        case("no dimension", json!([]), "", "dimensions", &range),
        case(
            "too many dimensions",
            json!(too_many),
            "",
            "dimensions",
            &range,
        )
        .errors(2),
        case(
            "a dimension twice",
            twice,
            "[1]",
            "Duplicate value",
            "listed twice",
        ),
        case(
            "an unknown dimension",
            dimension(json!({"name": "PATH"})),
            "[0].name",
            "Unsupported value",
            "write one of layers",
        ),
        case(
            "an empty name",
            dimension(json!({"name": ""})),
            "[0].name",
            "Unsupported value",
            "write one of layers",
        ),
        case(
            "a size of a switch",
            dimension(json!({"name": "ia3", "sizes": [0, 2]})),
            "[0].sizes[1]",
            "on or off",
            "ia3 has no size 2",
        ),
        case(
            "no size",
            sizes(json!([])),
            "[0].sizes",
            "sizes",
            "give 1 to 64 entries",
        ),
        case(
            "65 sizes",
            sizes(many),
            "[0].sizes",
            "sizes",
            "give 1 to 64 entries",
        ),
        case(
            "a size twice",
            sizes(json!([1, 1])),
            "[0].sizes[1]",
            "sizes",
            "listed twice",
        ),
        case(
            "sizes that fall",
            sizes(json!([0, 4, 2])),
            "[0].sizes[2]",
            "ascending",
            "2 follows 4; list the sizes in ascending",
        ),
        case(
            "a size below 0",
            sizes(json!([-1, 2])),
            "[0].sizes[0]",
            "sizes",
            "too small",
        ),
        case(
            "a size beyond all",
            sizes(json!([1, 8193])),
            "[0].sizes[1]",
            "sizes",
            "from 0 to 8192",
        ),
        case(
            "a size with a fraction",
            sizes(json!([1.5])),
            "[0].sizes[0]",
            "sizes",
            "write a whole number",
        ),
        case(
            "a mask with words",
            mask("11x"),
            "[0].mask",
            "mask",
            "matches",
        ),
        case(
            "a mask with a newline",
            mask("11\n"),
            "[0].mask",
            "mask",
            "matches",
        ),
        case(
            "a mask with right-to-left marks",
            mask("1\u{202e}1"),
            "[0].mask",
            "mask",
            "matches",
        ),
        case(
            "a mask of 65",
            mask(&"1".repeat(65)),
            "[0].mask",
            "mask",
            "1 to 64 characters",
        ),
        case("no mask", mask(""), "[0].mask", "mask", "the text is empty"),
        case(
            "a mask on a module",
            dimension(json!({"name": "prefix", "mask": "11"})),
            "[0].mask",
            "only layers has a mask",
            "only layers has a mask",
        ),
        case(
            "sizes of the layers",
            dimension(json!({"name": "layers", "sizes": [1]})),
            "[0].sizes",
            "a module has sizes",
            "use mask",
        ),
    ]
}

fn objectives() -> Vec<BadInput> {
    let case = |name: &str, objectives: Value, below: &str, admission, words: &str| {
        refused_below(name, "/objectives", objectives, below, admission, words)
    };
    let of = |objective: &str, part: &str, value: &str| json!([{"name": objective, part: value}]);
    let score = |part: &str, value: &str| of("score", part, value);
    let cost = |part: &str, value: &str| of("trainableParameters", part, value);
    let three = json!([{"name": "score"}, {"name": "score"}, {"name": "score"}]);
    let twice = json!([{"name": "score"}, {"name": "score"}]);
    let both = |score: &str, cost: &str| {
        json!([
            {"name": "score", "reference": score},
            {"name": "trainableParameters", "reference": cost},
        ])
    };
    let mut low = good();
    set(&mut low, "/objectives", score("bound", "-0.5"));
    let mut rows = vec![
        case(
            "an unknown objective",
            json!([{"name": "speed"}]),
            "[0].name",
            "Unsupported value",
            "write one of score, trainableParameters",
        ),
        case(
            "an objective with a direction",
            score("direction", "sideways"),
            "[0].direction",
            "direction",
            "there is no such field",
        ),
        case(
            "one reference of two",
            score("reference", "0.5"),
            "",
            "or for neither",
            "for neither",
        ),
        case(
            "three objectives",
            three,
            "",
            "objectives",
            "give at most 2",
        )
        .errors(3),
        case(
            "an objective twice",
            twice,
            "[1]",
            "Duplicate value",
            "score is listed twice",
        ),
        case(
            "a score of 7",
            score("bound", "7"),
            "[0].bound",
            "from -1 to 1",
            "from 0 to 1, the range of accuracy",
        ),
        case(
            "a score of 1.5",
            score("bound", "1.5"),
            "[0].bound",
            "from -1 to 1",
            "0 to 1",
        ),
        case(
            "a reference below every score",
            both("-1.01", "1"),
            "[0].reference",
            "from -1 to 1",
            "from 0 to 1",
        ),
        case(
            "a share below 0",
            cost("bound", "-1"),
            "[0].bound",
            "from 0 to 10000",
            "in percent",
        ),
        case(
            "a share beyond all",
            both("0", "1e5"),
            "[1].reference",
            "from 0 to 10000",
            "from 0 to 10000",
        ),
        told_later(
            "a bound below every accuracy",
            low,
            "spec.objectives[0].bound",
            "from 0 to 1, the range of accuracy",
        ),
    ];
    for (name, value) in [
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("in hexadecimal", "0x10"),
        ("with a comma", "1,5"),
        ("with a newline", "1\n"),
        ("of 1e400", "1e400"),
    ] {
        let name = format!("a bound {name}");
        let words = "is not a finite decimal number";
        rows.push(case(
            &name,
            score("bound", value),
            "[0].bound",
            "bound",
            words,
        ));
    }
    let long = "1".repeat(65);
    let words = "at most 64 characters";
    rows.push(case(
        "a bound of 65 digits",
        score("bound", &long),
        "[0].bound",
        "bound",
        words,
    ));
    rows
}
