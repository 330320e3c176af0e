//! Where model and data come from.

use serde_json::{Value, json};

use super::{BadInput, refused, refused_below};

pub(super) fn rows() -> Vec<BadInput> {
    let source = "/model/source";
    let claim = |name: &str, claim: Value, below: &str, admission, words: &str| {
        refused_below(name, "/model/source/claim", claim, below, admission, words)
    };
    let both = json!({"path": "x", "claim": {"name": "c"}});
    let hub = |hub: Value| json!({"hub": hub});
    let secret = json!({"name": "s", "key": "k", "namespace": "kube-system"});
    let with_secret = hub(json!({"repository": "a/b", "tokenSecretRef": secret}));
    vec![
        refused(
            "no source",
            source,
            json!({}),
            "exactly one",
            "exactly one of path, claim, image and hub",
        ),
        refused(
            "a source of null",
            source,
            json!({"claim": null}),
            "exactly one",
            "exactly one",
        ),
        refused(
            "two sources",
            source,
            both,
            "exactly one",
            "path and claim are given together",
        ),
        refused_below(
            "an empty path",
            source,
            json!({"path": ""}),
            ".path",
            "path",
            "the text is empty",
        ),
        claim(
            "a claim that leaves",
            json!({"name": "c", "path": "a/../../b"}),
            ".path",
            "has no ..",
            "relative path that has no ..",
        ),
        claim(
            "an absolute path in a claim",
            json!({"name": "c", "path": "/etc"}),
            ".path",
            "relative",
            "relative path that has no ..",
        ),
        claim(
            "a claim elsewhere",
            json!({"name": "c", "namespace": "other"}),
            ".namespace",
            "namespace",
            "there is no such field",
        ),
        claim(
            "a claim with capitals",
            json!({"name": "Data"}),
            ".name",
            "name",
            "matches",
        ),
        claim(
            "a claim with a space",
            json!({"name": "Not A Name"}),
            ".name",
            "name",
            "matches",
        ),
        refused_below(
            "an image's path that leaves",
            source,
            json!({"image": {"reference": "r/i:1", "path": "../x"}}),
            ".image.path",
            "has no ..",
            "relative path that has no ..",
        ),
        refused_below(
            "a repository with three parts",
            source,
            hub(json!({"repository": "a/b/c"})),
            ".hub.repository",
            "repository",
            "matches",
        ),
        refused_below(
            "a hub without a repository",
            source,
            hub(json!({})),
            ".hub.repository",
            "repository",
            "the field is missing",
        ),
        refused_below(
            "a Secret elsewhere",
            source,
            with_secret,
            ".hub.tokenSecretRef.namespace",
            "namespace",
            "there is no such field",
        ),
    ]
}
