//! Environment variables of libtorch.

use std::os::unix::process::CommandExt;
use std::process::Command;

use autopeft_crds::trial::TRAINER_ENVIRONMENT;

/// Re-executes this program with the same arguments if a variable is not set. If that fails, everything works, only
/// slower.
pub(super) fn set() {
    let missing: Vec<_> = TRAINER_ENVIRONMENT
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
        .collect();
    if missing.is_empty() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Returns only on failure.
        let _ = Command::new(program)
            .args(std::env::args_os().skip(1))
            .envs(missing)
            .exec();
    }
}
