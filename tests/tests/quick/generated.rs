//! The generated files are up to date.

use autopeft_integration_tests::generated;

#[test]
fn generated_files_are_fresh() {
    for (path, content) in generated::files().expect("generation") {
        let found = std::fs::read_to_string(generated::root().join(path)).unwrap_or_default();
        assert!(
            found == content,
            "{path} is stale: run `make generate` and commit what it writes"
        );
    }
}
