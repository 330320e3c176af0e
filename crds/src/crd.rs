//! The CustomResourceDefinition of PeftSearch: what the types give, and what they cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};
use kube_core::CustomResourceExt;

use crate::spec::PeftSearch;

/// The longest name of a search: the names of its trials' Jobs begin with it.
pub const NAME_MAX: usize = 46;

/// The definition as it is applied to a cluster.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = PeftSearch::crd();
    let versions = crd.spec.versions.iter_mut();
    for schema in versions.filter_map(|version| version.schema.as_mut()) {
        if let Some(root) = schema.open_api_v3_schema.as_mut() {
            plain(root);
            // Of the metadata, only the name can be seen by a rule, and only from the root.
            let name = ValidationRule {
                rule: format!("self.metadata.name.size() <= {NAME_MAX}"),
                message: Some(format!(
                    "a name of at most {NAME_MAX} characters leaves room for the names of the trials' Jobs"
                )),
                ..ValidationRule::default()
            };
            // The status has rules of its own, which say nothing where it is taken away as a whole.
            let status = ValidationRule {
                rule: "has(self.status) || !has(oldSelf.status)".into(),
                message: Some(
                    "a status is never taken away: it is the memory of the search".into(),
                ),
                ..ValidationRule::default()
            };
            root.x_kubernetes_validations = Some(vec![name, status]);
        }
    }
    crd
}

/// Takes away number formats that Kubernetes does not know and warns of; the ranges stay.
fn plain(schema: &mut JSONSchemaProps) {
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
        plain(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        plain(items);
    }
}
