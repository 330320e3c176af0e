//! The CustomResourceDefinition of PeftSearch: the schema of the types, and the rules that types cannot
//! express.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};
use kube_core::CustomResourceExt;
use kube_core::schema::{OptionalEnum, StructuralSchemaRewriter};
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;

use crate::decimal::DECIMAL_PATTERN;
use crate::limits;
use crate::peft_search::PeftSearch;
use crate::rules;
use crate::status::{LedgerEntry, UNSEEN};

/// The longest name of a search.
pub const NAME_MAX: usize = limits::SEARCH_NAME as usize;

/// The definition as it is applied to a cluster.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = PeftSearch::crd();
    let versions = crd.spec.versions.iter_mut();
    for schema in versions.filter_map(|version| version.schema.as_mut()) {
        if let Some(root) = schema.open_api_v3_schema.as_mut() {
            normalise(root);
            if let Some(spec) = at(root, "spec") {
                describe_decimals(spec);
            }
            for rule in rules::in_schema() {
                if let Some(place) = at(root, rule.place) {
                    add_rule(place, rule.cel, rule.message);
                }
            }
            for (cel, message) in rules::of_the_object() {
                add_rule(root, &cel, &message);
            }
            if let Some(status) = at(root, "status") {
                status.default = Some(JSON(unseen()));
            }
        }
    }
    crd
}

/// The status of a search that no operator has seen, which the API server gives to a new object.
fn unseen() -> serde_json::Value {
    serde_json::json!({"conditions": [{
        "type": "Succeeded",
        "status": "Unknown",
        "reason": UNSEEN,
        "message": "no operator has seen this search yet; does one watch its namespace?",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]})
}

/// The fields of an entry of the ledger, which are text in the definition.
pub fn entry_schema() -> serde_json::Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let generator = settings
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .into_generator();
    generator.into_root_schema_for::<LedgerEntry>().into()
}

/// The schema at a place: field names with dots between them, `[]` for the entries of a list.
fn at<'a>(mut schema: &'a mut JSONSchemaProps, place: &str) -> Option<&'a mut JSONSchemaProps> {
    for part in place.split('.') {
        let (name, is_list) = match part.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (part, false),
        };
        schema = schema.properties.as_mut()?.get_mut(name)?;
        if is_list {
            schema = match schema.items.as_mut()? {
                JSONSchemaPropsOrArray::Schema(items) => items,
                JSONSchemaPropsOrArray::Schemas(_) => return None,
            };
        }
    }
    Some(schema)
}

fn add_rule(schema: &mut JSONSchemaProps, cel: &str, message: &str) {
    let rules = schema.x_kubernetes_validations.get_or_insert_default();
    rules.push(ValidationRule {
        rule: cel.into(),
        message: Some(message.into()),
        ..ValidationRule::default()
    });
}

/// Removes integer formats that Kubernetes does not know and warns of (the ranges stay), and the null of an
/// optional enumeration, which is `nullable` already.
fn normalise(schema: &mut JSONSchemaProps) {
    if let Some(words) = &mut schema.enum_ {
        words.retain(|word| !word.0.is_null());
    }
    if schema
        .format
        .as_deref()
        .is_some_and(|format| format.starts_with("uint"))
    {
        schema.format = None;
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        normalise(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        normalise(items);
    }
}

/// Adds to the description of each decimal that it is in quotes: JSON numbers hold no decimal exactly.
fn describe_decimals(schema: &mut JSONSchemaProps) {
    if schema.pattern.as_deref() == Some(DECIMAL_PATTERN) {
        let description = schema.description.get_or_insert_default();
        description.push_str(" A decimal in quotes.");
    }
    let properties = schema.properties.iter_mut();
    properties
        .flat_map(|properties| properties.values_mut())
        .for_each(describe_decimals);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        describe_decimals(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule for a place that is not in the schema would never be checked.
    #[test]
    fn every_rule_has_its_place_in_the_schema() {
        let mut crd = PeftSearch::crd();
        let root = crd.spec.versions[0].schema.as_mut();
        let root = root.and_then(|schema| schema.open_api_v3_schema.as_mut());
        let root = root.expect("a schema");
        for rule in rules::in_schema() {
            assert!(at(root, rule.place).is_some(), "{}", rule.place);
        }
        for field in rules::FIXED {
            assert!(at(root, &format!("spec.{field}")).is_some(), "{field}");
        }
    }
}
