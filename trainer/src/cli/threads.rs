//! How libtorch's threads wait for each other.
//!
//! Its OpenMP runtime lets a thread that waits spin. Where the cores are shared with anything else
//! (trials side by side, a container with a CPU limit, a machine that is in use) the thread that is
//! waited for then has no core to run on: a trial of 7 seconds was seen to take 44, and one of a
//! tiny model 11 instead of 1. Waiting passively costs nothing that could be measured.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// What the runtime reads when it is loaded, which is before `main`.
const POLICY: &str = "OMP_WAIT_POLICY";

/// Starts this program again, in place and with the same arguments, where the policy is not set
/// yet. Where that cannot be, everything works, only slower on a busy machine.
pub(super) fn wait_passively() {
    if std::env::var_os(POLICY).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Only comes back when it failed.
        let _ = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(POLICY, "passive")
            .exec();
    }
}
