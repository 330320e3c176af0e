//! `--exit-with-parent`: a trainer never outlives the process that started it.

use std::io::Read;

use rustix::process::{Signal, getpid, kill_process};

/// Ends this process as soon as standard input is closed, which the system does when the process at the other end dies
/// in any way.
pub(super) fn exit_with_parent() {
    std::thread::spawn(|| {
        let mut buffer = [0_u8; 256];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // Nobody reads an exit message, and an orderly exit would wait for libtorch's threads.
        if kill_process(getpid(), Signal::KILL).is_err() {
            std::process::abort();
        }
    });
}
