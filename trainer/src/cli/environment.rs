//! The environment that libtorch wants.

use std::os::unix::process::CommandExt;
use std::process::Command;

use autopeft_crds::trial::TRAINER_ENVIRONMENT;

/// Starts this program again, in place and with the same arguments, where something is not set.
/// Where that cannot be, everything works, only slower.
pub(super) fn set() {
    let missing: Vec<_> = TRAINER_ENVIRONMENT
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
        .collect();
    if missing.is_empty() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Only comes back when it failed.
        let _ = Command::new(program)
            .args(std::env::args_os().skip(1))
            .envs(missing)
            .exec();
    }
}
