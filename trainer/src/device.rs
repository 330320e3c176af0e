//! The device, its number format, and peak memory.
//!
//! A GPU is found when the program was built against a libtorch with CUDA (`build.rs` links it).

use autopeft_crds::spec::Precision;
use tch::{Device, Kind, TchError, Tensor};

use crate::reason::sentence;

/// Why a requested GPU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoGpu {
    /// The program was built without CUDA.
    #[error(
        "--device cuda: this peft-trainer was built without CUDA; on a cluster, name one for CUDA in spec.trainer.image; on your own machine, --device auto uses the CPU"
    )]
    NotBuilt,
    /// There is none that it can use: libtorch's message says whether there is none, it or its driver is too old, or it
    /// has no free memory.
    #[error("--device cuda: libtorch can use no GPU here: {}", sentence(.0))]
    NotUsable(TchError),
}

/// The first GPU if there is one, else the CPU. `CUDA_VISIBLE_DEVICES` selects GPUs; if it is empty, there is none.
pub fn choose() -> Device {
    Device::cuda_if_available()
}

/// The first GPU. It is tested: a GPU that libtorch counts may be too old for it.
///
/// # Errors
/// There is none that this program can use.
pub fn gpu() -> Result<Device, NoGpu> {
    if !cfg!(has_cuda) {
        return Err(NoGpu::NotBuilt);
    }
    let gpu = Device::Cuda(0);
    let tried = || Tensor::f_ones([1], (Kind::Float, gpu))?.f_double_value(&[0]);
    tried().map(|_| gpu).map_err(NoGpu::NotUsable)
}

/// The number format of the frozen weights and of the matrix products: `Kind::Float` or
/// `Kind::BFloat16`.
///
/// `Auto` is BFloat16 on every GPU, also on one that does not have the format: `tch` does not expose a
/// GPU's generation. NVIDIA GPUs older than Ampere emulate it slowly; `Float32` is faster there.
pub fn number_format(precision: Precision, device: Device) -> Kind {
    match precision {
        Precision::Float32 => Kind::Float,
        Precision::BFloat16 => Kind::BFloat16,
        Precision::Auto if device.is_cuda() => Kind::BFloat16,
        Precision::Auto => Kind::Float,
    }
}

/// `float32` or `bfloat16`, as result documents spell it.
pub fn number_format_name(kind: Kind) -> &'static str {
    match kind {
        Kind::BFloat16 => "bfloat16",
        _ => "float32",
    }
}

/// `cpu` or `cuda:0`, as result documents spell it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".into(),
    }
}

/// Waits until the device is idle, for timing.
pub fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

/// The peak resident memory of this process, bytes (`VmHWM` of `/proc/self/status`), libraries included. `None` if the
/// system does not report it.
///
/// On a GPU it is the same measure, of the host's memory. The GPU's own is not part of it: `tch`
/// does not expose the statistics of libtorch's allocator.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_float32_on_the_cpu_and_bfloat16_on_a_gpu() {
        assert_eq!(number_format(Precision::Auto, Device::Cpu), Kind::Float);
        let gpu = Device::Cuda(0);
        assert_eq!(number_format(Precision::Auto, gpu), Kind::BFloat16);
        assert_eq!(number_format(Precision::Float32, gpu), Kind::Float);
        assert_eq!(name(gpu), "cuda:0");
    }

    #[test]
    fn peak_memory_is_more_than_a_megabyte() {
        let bytes = peak_memory_bytes();
        if cfg!(target_os = "linux") {
            assert!(bytes.is_some_and(|bytes| bytes > 1 << 20), "{bytes:?}");
        }
    }
}
