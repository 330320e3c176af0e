//! Maps errors of libtorch and of the system to the `FailureReason` of a trial, and shortens libtorch's messages to
//! one sentence.

use std::error::Error;
use std::io;

use autopeft_crds::trial::FailureReason;
use tch::TchError;

/// Prefixes of messages: of panics of `tch`, which unwraps its errors, and of error types.
const WRAPPERS: [&str; 3] = [
    "called `Result::unwrap()` on an `Err` value: ",
    "Torch(\"",
    "Internal torch error: ",
];

/// The reason for a message of libtorch, which has no error codes. `message` is the whole message, not its `sentence`.
pub fn of_message(message: &str) -> FailureReason {
    let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    // When an allocation fails, libtorch asks NVML which process has the memory, which is denied in a container on a MIG
    // instance.
    let nvml_is_denied = has(&["NVML_SUCCESS =="]) && has(&["CUDACachingAllocator"]);
    if nvml_is_denied
        || has(&[
            "out of memory",
            "can't allocate memory",
            "Cannot allocate memory",
            "not enough memory",
            "std::bad_alloc",
            "bad allocation",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "CUDNN_STATUS_ALLOC_FAILED",
        ])
    {
        FailureReason::OutOfMemory
    } else if has(&[
        "CUDA error",
        "CUBLAS_STATUS",
        "cuDNN error",
        "CUDNN_STATUS",
        "NVML",
    ]) {
        FailureReason::DeviceLost
    } else if has(&["No space left on device"]) {
        FailureReason::DiskFull
    } else {
        FailureReason::Internal
    }
}

/// The reason for a system error. It is an infrastructure failure: a file that disappears or becomes unreadable during a
/// search may come back, and is no evidence about the configuration. Only invalid UTF-8 is the input's fault.
pub fn of_io(error: &io::Error) -> FailureReason {
    match error.kind() {
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::ReadOnlyFilesystem => FailureReason::DiskFull,
        io::ErrorKind::OutOfMemory => FailureReason::OutOfMemory,
        io::ErrorKind::InvalidData => FailureReason::BadInput,
        _ => FailureReason::Internal,
    }
}

/// The reason for an error, by its causes; `None` if neither the system nor libtorch is among them.
pub fn of_causes(error: &(dyn Error + 'static)) -> Option<FailureReason> {
    if let Some(system) = cause::<io::Error>(error) {
        return Some(of_io(system));
    }
    cause::<TchError>(error).map(|torch| of_message(&torch.to_string()))
}

/// The first of an error and its causes that has this type.
pub fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The first sentence of libtorch's message, without its wrappers, the condition in its source and the stack trace.
pub fn sentence(message: impl ToString) -> String {
    // The Debug form of an error escapes quotes and line breaks.
    let message = message.to_string().replace("\\n", "\n");
    let message = message.replace("\\\"", "\"").replace("\\'", "'");
    let mut text = message.trim();
    for wrapper in WRAPPERS {
        text = text.strip_prefix(wrapper).unwrap_or(text);
    }
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_suffix("\")").unwrap_or(line);
    // "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: …"
    let line = match line.strip_prefix("[enforce fail at ") {
        Some(rest) => rest.split_once(". ").map_or(line, |(_, said)| said),
        None => line,
    };
    // The second sentence of this one has the requested size.
    let sentences = if line.starts_with("CUDA out of memory. ") {
        2
    } else {
        1
    };
    let kept: Vec<&str> = line.split(". ").take(sentences).collect();
    kept.join(". ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_enough_is_known_by_every_spelling() {
        for message in [
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1 GiB",
            "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes. Error code 12 (Cannot allocate memory)",
            "std::bad_alloc",
            "bad allocation",
            "mmap: Cannot allocate memory",
            "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "NVML_SUCCESS == r INTERNAL ASSERT FAILED at \"/pytorch/c10/cuda/CUDACachingAllocator.cpp\":1165, please report a bug to PyTorch.",
        ] {
            assert_eq!(of_message(message), FailureReason::OutOfMemory, "{message}");
        }
        let lost = of_message("CUDA error: an illegal memory access was encountered");
        assert_eq!(lost, FailureReason::DeviceLost);
        assert_eq!(of_message("shapes do not fit"), FailureReason::Internal);
    }

    #[test]
    fn an_error_of_the_system_is_never_bad_input() {
        for (code, reason) in [
            (rustix::io::Errno::NOSPC, FailureReason::DiskFull),
            (rustix::io::Errno::DQUOT, FailureReason::DiskFull),
            (rustix::io::Errno::ROFS, FailureReason::DiskFull),
            (rustix::io::Errno::NOMEM, FailureReason::OutOfMemory),
            (rustix::io::Errno::IO, FailureReason::Internal),
            (rustix::io::Errno::NOENT, FailureReason::Internal),
            (rustix::io::Errno::STALE, FailureReason::Internal),
            (rustix::io::Errno::NOTCONN, FailureReason::Internal),
        ] {
            let error = io::Error::from(code);
            assert_eq!(of_io(&error), reason, "{error}");
        }
    }

    #[test]
    fn a_message_of_libtorch_is_cut_to_its_sentence() {
        let check = |message: &str, expected: &str| assert_eq!(sentence(message), expected);
        check(
            "called `Result::unwrap()` on an `Err` value: Torch(\"[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can\\'t allocate memory: you tried to allocate 8 bytes. Error code 12 (Cannot allocate memory)\\nException raised from posix_memalign\")",
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
        );
        check(
            "Internal torch error: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1 GiB\nException",
            "CUDA out of memory. Tried to allocate 2.00 GiB",
        );
        check(
            "called `Result::unwrap()` on an `Err` value: Torch(\"index out of range in self\\nException\")",
            "index out of range in self",
        );
        check("a message of our own", "a message of our own");
    }
}
