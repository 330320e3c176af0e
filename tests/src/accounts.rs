//! ServiceAccounts for operators: with the permissions of operator-rights.yaml, or with all but one.

use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::Kubeconfig;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cluster::{Cluster, apply, eventually};

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core's.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

/// Every permission of the operator.
pub fn rights() -> Vec<Right> {
    let mut rights = Vec::new();
    for rule in rules() {
        for (group, resource, verb) in words(&rule) {
            rights.push(Right {
                group,
                resource,
                verb,
            });
        }
    }
    rights
}

fn rules() -> Vec<Value> {
    let text = include_str!("../cluster/operator-rights.yaml");
    let first = text.split("\n---\n").next().expect("a ClusterRole");
    let role: Value = serde_saphyr::from_str(first).expect("YAML");
    role["rules"].as_array().expect("rules").clone()
}

fn words(rule: &Value) -> Vec<(String, String, String)> {
    let list = |field: &str| -> Vec<String> {
        let words = rule[field].as_array().expect("a list").iter();
        words
            .map(|word| word.as_str().expect("text").to_owned())
            .collect()
    };
    let mut all = Vec::new();
    for group in list("apiGroups") {
        for resource in list("resources") {
            for verb in list("verbs") {
                all.push((group.clone(), resource.clone(), verb));
            }
        }
    }
    all
}

/// Grants the namespace's account `operator` every permission in the namespace except `missing`.
pub async fn grant(client: &Client, namespace: &str, missing: Option<&Right>) {
    let rules: Vec<Value> = rights()
        .into_iter()
        .filter(|right| Some(right) != missing)
        .map(|right| {
            json!({
                "apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb],
            })
        })
        .collect();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "operator", "namespace": namespace},
        "rules": rules,
    });
    let folder = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    apply(client, &role.to_string(), &format!("{folder}/roles")).await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "operator", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
    });
    apply(
        client,
        &binding.to_string(),
        &format!("{folder}/rolebindings"),
    )
    .await;
    // The API server's authorizer takes a moment to know it.
    for right in rights() {
        let is_given = Some(&right) != missing;
        let what = format!("{right:?} is as granted");
        eventually(&what, async || {
            is_allowed(client, namespace, &right).await == is_given
        })
        .await;
    }
}

async fn is_allowed(client: &Client, namespace: &str, right: &Right) -> bool {
    let (resource, part) = match right.resource.split_once('/') {
        Some((resource, part)) => (resource, Some(part)),
        None => (right.resource.as_str(), None),
    };
    let review: SubjectAccessReview = serde_json::from_value(json!({
        "metadata": {},
        "spec": {"user": user(namespace), "resourceAttributes": {
            "namespace": namespace, "group": right.group, "resource": resource,
            "subresource": part, "verb": right.verb,
        }},
    }))
    .expect("a review");
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    let status = answer.expect("the administrator may ask").status;
    status.is_some_and(|status| status.allowed)
}

/// The account's user name in the audit log.
pub fn user(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:operator")
}

/// Creates the account `operator` in a namespace, and a kubeconfig for it.
pub async fn account(cluster: &Cluster, client: &Client, namespace: &str) -> PathBuf {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account: ServiceAccount =
        serde_json::from_value(json!({"metadata": {"name": "operator"}})).expect("an account");
    accounts
        .create(&PostParams::default(), &account)
        .await
        .expect("the account is new");
    let request = TokenRequest {
        spec: Some(TokenRequestSpec::default()),
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request("operator", &PostParams::default(), &request)
        .await
        .expect("a token");
    let token = answer.status.expect("a token").token;
    let administrator = Kubeconfig::read_from(cluster.kubeconfig()).expect("a kubeconfig");
    let found = administrator.clusters[0]
        .cluster
        .clone()
        .expect("a cluster");
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "operator",
        "clusters": [{"name": "autopeft", "cluster": {
            "server": found.server,
            "certificate-authority-data": found.certificate_authority_data,
        }}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "operator", "context": {"cluster": "autopeft", "user": "operator"}}],
    });
    let file = cluster
        .kubeconfig()
        .with_file_name(format!("kubeconfig-account-{namespace}"));
    std::fs::write(&file, kubeconfig.to_string()).expect("a kubeconfig");
    file
}
