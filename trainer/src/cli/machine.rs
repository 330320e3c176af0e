//! Device and threads of a command.

use autopeft_crds::limits;
use clap::builder::RangedI64ValueParser;
use clap::{Args, ValueEnum};
use tch::Device;

use crate::trial::TrialError;

/// Device and threads of a command.
#[derive(Debug, Args)]
pub(super) struct Machine {
    /// The device.
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    device: DeviceChoice,
    /// Threads for CPU operations; by default one per core.
    // More could exhaust the machine's limit on threads.
    #[arg(long, value_name = "N", value_parser = threads())]
    threads: Option<i32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DeviceChoice {
    /// The first GPU if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The first GPU.
    Cuda,
}

/// Threads within their limits.
fn threads() -> RangedI64ValueParser<i32> {
    let [least, most] = [limits::THREADS.least, limits::THREADS.most].map(|end| end as i64);
    clap::value_parser!(i32).range(least..=most)
}

impl Machine {
    /// The device; threads are set.
    pub(super) fn device(&self) -> Result<Device, TrialError> {
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads);
        }
        match self.device {
            DeviceChoice::Auto => Ok(crate::device::choose()),
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Cuda => Ok(crate::device::gpu()?),
        }
    }
}
