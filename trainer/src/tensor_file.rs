//! Reading and writing safetensors files, with errors that name file and tensor.
//!
//! Files are read tensor by tensor rather than mapped: the workspace forbids unsafe code, and a
//! file that is truncated while it is read is an error and not a signal.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, View};
use tch::{Kind, TchError, Tensor};

use crate::files::{self, recognise_binary};
use crate::reason::sentence;

/// The longest header that is read, bytes; safetensors' own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Why a safetensors file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is truncated, or is something else.
    #[error("{path}: is not a whole safetensors file: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is no file of `torch.save` that has tensors alone.
    #[error("{path}: is not a PyTorch file of tensors: {reason}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A tensor is missing.
    #[error("{path}: tensor {tensor} is missing")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor does not fit.
    #[error("{path}: tensor {tensor} is {found}; expected {expected}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What the file holds.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A tensor has values that are not finite.
    #[error(
        "{path}: tensor {tensor} has {found} values of {all} that are NaN or infinite; every weight has to be a finite number"
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Values that are not finite.
        found: i64,
        /// All its values.
        all: usize,
    },
    /// libtorch cannot create a tensor from the file, or copy it to the file.
    #[error("{path}: a tensor cannot be copied: {}", sentence(source))]
    Torch {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TchError,
    },
    /// The file cannot be written.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A safetensors file, open for reading.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    data_start: u64,
    metadata: Metadata,
}

impl TensorFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// The file cannot be read, is not a safetensors file, or is shorter or longer than its header
    /// says.
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        let read = |source| TensorFileError::Read {
            path: path.into(),
            source,
        };
        let malformed = |reason: String| TensorFileError::Malformed {
            path: path.into(),
            reason,
        };
        // A file without a valid header is usually of another kind.
        let malformed = |reason: String| {
            let head = files::head(path).unwrap_or_default();
            match recognise_binary(&head) {
                Some(found) => malformed(format!("it is {found}")),
                None => malformed(reason),
            }
        };
        let mut file = files::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        if length < 8 {
            return Err(malformed(format!("it has {length} bytes")));
        }
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(read)?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER_BYTES || size > length - 8 {
            return Err(malformed(format!(
                "its header would have {size} bytes, the file has {length}"
            )));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(read)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| malformed(format!("its header is corrupt: {error}")))?;
        let data_start = 8 + size;
        let expected = data_start.saturating_add(metadata.data_len() as u64);
        if expected != length {
            return Err(malformed(format!(
                "it has {length} bytes where its header declares {expected}"
            )));
        }
        Ok(Self {
            path: path.into(),
            file,
            data_start,
            metadata,
        })
    }

    /// The names of the tensors, in the file's order.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Reads every tensor, as `read` does, in the file's order.
    ///
    /// # Errors
    /// As `read`.
    pub fn read_all(&mut self) -> Result<Vec<(String, Tensor)>, TensorFileError> {
        let names = self.names().into_iter();
        names
            .map(|name| {
                let shape = self.metadata.info(&name).map(|info| info.shape.clone());
                let shape = shape.unwrap_or_default().into_iter();
                let tensor =
                    self.read(&name, &shape.map(|size| size as i64).collect::<Vec<_>>())?;
                Ok((name, tensor))
            })
            .collect()
    }

    /// Reads a tensor of float32, float16 or bfloat16 as float32, on the CPU.
    ///
    /// # Errors
    /// The tensor is missing, has another shape or number format or a value that is not finite, or
    /// cannot be read.
    pub fn read(&mut self, name: &str, shape: &[i64]) -> Result<Tensor, TensorFileError> {
        let Some(info) = self.metadata.info(name) else {
            return Err(TensorFileError::Missing {
                path: self.path.clone(),
                tensor: name.into(),
            });
        };
        let mismatch = |found: String, expected: String| TensorFileError::Mismatch {
            path: self.path.clone(),
            tensor: name.into(),
            found,
            expected,
        };
        let kind = match info.dtype {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => {
                let expected = "F32, F16 or BF16".to_owned();
                return Err(mismatch(format!("{other:?}"), expected));
            }
        };
        if !info
            .shape
            .iter()
            .map(|size| *size as i64)
            .eq(shape.iter().copied())
        {
            let found = format!("of shape {:?}", info.shape);
            return Err(mismatch(found, format!("shape {shape:?}")));
        }
        // The header's shape, format and offsets agree: deserialising it has checked them.
        let (start, end) = info.data_offsets;
        let mut data = vec![0; end - start];
        self.file
            .seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| self.file.read_exact(&mut data))
            .map_err(|source| TensorFileError::Read {
                path: self.path.clone(),
                source,
            })?;
        let (tensor, finite) = float32(&data, shape, kind).map_err(|source| {
            let path = self.path.clone();
            TensorFileError::Torch { path, source }
        })?;
        let all = tensor.numel();
        match all as i64 - finite {
            0 => Ok(tensor),
            found => Err(TensorFileError::NotFinite {
                path: self.path.clone(),
                tensor: name.into(),
                found,
                all,
            }),
        }
    }
}

/// A tensor of bytes as float32, and how many of its values are finite.
fn float32(data: &[u8], shape: &[i64], kind: Kind) -> Result<(Tensor, i64), TchError> {
    let tensor = Tensor::f_from_data_size(data, shape, kind)?.f_to_kind(Kind::Float)?;
    let finite = tensor.f_isfinite()?.f_count_nonzero(None)?;
    let finite = finite.f_int64_value(&[])?;
    Ok((tensor, finite))
}

/// Writes float32 tensors into a new file, in the given order as far as safetensors keeps it.
///
/// # Errors
/// The file cannot be written, for example because the disk is full.
pub fn write(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), TensorFileError> {
    let failed = |source| TensorFileError::Write {
        path: path.into(),
        source,
    };
    let views = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), Plain::of(tensor)?)))
        .collect::<Result<Vec<_>, TchError>>()
        .map_err(|source| TensorFileError::Torch {
            path: path.into(),
            source,
        })?;
    safetensors::serialize_to_file(views, None, path).map_err(|error| {
        failed(match error {
            safetensors::SafeTensorError::IoError(source) => source,
            other => std::io::Error::other(other),
        })
    })
}

/// A tensor's values as bytes of float32.
pub fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>, TchError> {
    let values = tensor
        .f_detach()?
        .f_to_device(tch::Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?;
    let count = values.numel();
    let mut bytes = vec![0; count * 4];
    values.f_copy_data_u8(&mut bytes, count)?;
    Ok(bytes)
}

/// A tensor for a file.
struct Plain {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Plain {
    fn of(tensor: &Tensor) -> Result<Self, TchError> {
        let bytes = bytes_of(tensor)?;
        let shape = tensor.size().iter().map(|size| *size as usize).collect();
        Ok(Self { shape, bytes })
    }
}

impl View for Plain {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
