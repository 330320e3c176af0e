//! Writes the generated files in place.

use anyhow::Context;
use autopeft_integration_tests::generated;

fn main() -> anyhow::Result<()> {
    for (path, content) in generated::files()? {
        std::fs::write(generated::root().join(path), content)
            .with_context(|| format!("writing {path}"))?;
    }
    Ok(())
}
