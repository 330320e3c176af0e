//! From the tree of a document to the JSON that the API server would get, by the types of the schema. Reports
//! unquoted words that YAML reads as another type than the schema's.

use std::collections::BTreeMap;

use autopeft_crds::FieldError;
use autopeft_crds::schema;
use serde_json::{Map, Number, Value};

use super::plain::Plain;
use super::tree::{Content, Field, Node, Scalar};

/// Doubles hold every whole number up to here.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// What is found along the way.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// Where each field stands.
    pub lines: BTreeMap<String, u64>,
    /// Words that must be quoted. The value has their text all the same, so that the rest is checked.
    pub unquoted: Vec<FieldError>,
    /// Words that this program reads as intended, but kubectl does not.
    pub warnings: Vec<FieldError>,
}

impl Typed {
    /// The value of `node` at `field`, of the type in `schema`.
    pub fn value(&mut self, node: &Node, schema: &Value, field: &str) -> Value {
        self.lines.entry(field.to_owned()).or_insert(node.line);
        match &node.content {
            Content::Scalar(scalar) => self.scalar(scalar, schema, field),
            Content::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    self.value(item, &schema["items"], &format!("{field}[{index}]"))
                })
                .collect(),
            Content::Fields(fields) => self.object(fields, schema, field),
        }
    }

    fn object(&mut self, fields: &[Field], schema: &Value, field: &str) -> Value {
        let mut object = Map::new();
        for Field { line, name, value } in fields {
            let path = if field.is_empty() {
                name.text.clone()
            } else {
                format!("{field}.{}", name.text)
            };
            self.lines.insert(path.clone(), *line);
            let known = schema["properties"].get(&name.text);
            if known.is_none() {
                self.name(name, &path);
            }
            let inner = known.unwrap_or(&schema["additionalProperties"]);
            let value = self.value(value, inner, &path);
            object.insert(name.text.clone(), value);
        }
        Value::Object(object)
    }

    /// Warns of a field's name that kubectl converts to another one (it converts every name to text).
    fn name(&mut self, name: &Scalar, path: &str) {
        let read = match &name.meaning {
            Plain::YesNo(flag) | Plain::Bool(flag) => flag.to_string(),
            Plain::Number(number) => number.to_string(),
            Plain::NotFinite => "a number".to_owned(),
            Plain::Null | Plain::Text => return,
        };
        if read != name.text {
            self.warnings.push(FieldError::new(
                path,
                format!("kubectl reads the name `{}` as {read}", name.text),
                format!("write it in quotes: {}", quoted(&name.text)),
            ));
        }
    }

    fn scalar(&mut self, scalar: &Scalar, schema: &Value, field: &str) -> Value {
        let Scalar { text, meaning } = scalar;
        match (schema["type"].as_str(), meaning) {
            (_, Plain::Text) => Value::String(text.clone()),
            (Some("boolean"), Plain::YesNo(flag)) => Value::Bool(*flag),
            (Some("integer"), Plain::Number(number)) => self.whole(text, number, field),
            (Some("string"), Plain::YesNo(flag)) => {
                self.warnings.push(FieldError::new(
                    field,
                    format!("kubectl reads `{text}` without quotes as {flag}"),
                    format!("write it in quotes: {}", quoted(text)),
                ));
                Value::String(text.clone())
            }
            // For a value that was left out, the schema's error fits.
            (Some("string"), Plain::Null) if text.is_empty() => Value::Null,
            (Some("string"), _) => Value::String(self.unquoted(scalar, schema, field)),
            (_, Plain::Null) => Value::Null,
            (_, Plain::Bool(flag)) => Value::Bool(*flag),
            (_, Plain::Number(number)) => Value::Number(number.clone()),
            (_, Plain::YesNo(_) | Plain::NotFinite) => Value::String(text.clone()),
        }
    }

    /// A whole number, which may be written as 1e2 or 100.0 too; 010 is 8 to kubectl.
    fn whole(&mut self, text: &str, number: &Number, field: &str) -> Value {
        let digits = text.trim_start_matches(['+', '-']);
        let decimal: Option<u64> = digits.parse().ok();
        let read = number.as_i64().map(i64::unsigned_abs);
        if let (Some(decimal), Some(read)) = (decimal, read)
            && decimal != read
        {
            self.warnings.push(FieldError::new(
                field,
                format!("{text} is read as {number}: a number that begins with 0 is octal"),
                format!("write {number}, or {decimal} if that is meant"),
            ));
        }
        let real = number.as_f64().filter(|_| number.is_f64());
        match real {
            Some(real) if real.fract() == 0.0 && real.abs() <= WHOLE_MAX => {
                Value::from(real as i64)
            }
            _ => Value::Number(number.clone()),
        }
    }

    /// The text that a word should have been, with an error that says so; where quotes do not help, the word
    /// as it is.
    fn unquoted(&mut self, scalar: &Scalar, schema: &Value, field: &str) -> String {
        let Scalar { text, meaning } = scalar;
        let is_right =
            |text: &str| schema::check(&Value::String(text.into()), schema, field).is_empty();
        let (right, remedy) = match digits(text, meaning) {
            _ if is_right(text) => (text.clone(), "write it in quotes"),
            Some(digits) if is_right(&digits) => (digits, "write it in quotes, digits alone"),
            _ => return text.clone(),
        };
        let found = match meaning {
            Plain::Null => "no value",
            Plain::Bool(_) | Plain::YesNo(_) => "a boolean",
            Plain::Number(_) | Plain::NotFinite | Plain::Text => "a number",
        };
        self.unquoted.push(FieldError::new(
            field,
            format!("{text} is {found}"),
            format!("{remedy}: {}", quoted(&right)),
        ));
        right
    }
}

/// The digits of a whole number that was written with an exponent, a point or groups: 1e9, 1_000.
fn digits(text: &str, meaning: &Plain) -> Option<String> {
    let Plain::Number(number) = meaning else {
        return None;
    };
    let number = number.as_f64()?;
    let is_plain = text.chars().all(|c| c.is_ascii_digit());
    (!is_plain && number.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&number))
        .then(|| format!("{number:.0}"))
}

/// Puts an unquoted word in quotes; it has nothing to escape.
fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}
