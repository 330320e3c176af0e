//! What libtorch and its libraries read from the environment when they are loaded, which is before
//! `main`.

use std::os::unix::process::CommandExt;
use std::process::Command;

const WANTED: [(&str, &str); 2] = [
    // OpenMP lets a thread that waits spin. Where the cores are shared with anything else (trials
    // side by side, a container with a CPU limit, a machine that is in use) the thread that is
    // waited for then has no core to run on: a trial of 7 seconds was seen to take 44, and one of a
    // tiny model 11 instead of 1. Waiting passively costs nothing that could be measured.
    ("OMP_WAIT_POLICY", "passive"),
    // cuDNN's attention, which libtorch prefers on a Hopper GPU, plans anew for every shape: with
    // batches padded to their longest text a training of 1.7 seconds took 21 (docs/measurements.md).
    ("TORCH_CUDNN_SDPA_DEPRIORITIZED", "1"),
];

/// Starts this program again, in place and with the same arguments, where something is not set yet.
/// Where that cannot be, everything works, only slower.
pub(super) fn set() {
    let missing: Vec<_> = WANTED
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
