//! Files of `torch.save`: a ZIP archive with a pickle and the storages' bytes. `adapters` reads its own format by
//! default.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use tch::{Kind, Tensor};
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::pickle::{self, Strided};
use crate::files;
use crate::nn::NamedTensors;
use crate::reason::sentence;
use crate::tensor_file::{TensorFile, TensorFileError, bytes_of};

/// The largest pickle that is read, bytes.
const MAX_PICKLE: u64 = 100_000_000;

/// Writes float32 tensors into a new file. One that repeats a single element, a tensor of zeros for example, is stored
/// as that element.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(path: &Path, tensors: &NamedTensors) -> Result<(), TensorFileError> {
    let failed = |source| TensorFileError::Write {
        path: path.into(),
        source,
    };
    let torch = |source| TensorFileError::Torch {
        path: path.into(),
        source,
    };
    let other = |error: zip::result::ZipError| failed(error.into());
    let mut placed = Vec::new();
    let mut storages = Vec::new();
    for (name, tensor) in tensors {
        let repeats = tensor.stride().iter().all(|stride| *stride == 0);
        let stored = if repeats {
            tensor.flatten(0, -1).narrow(0, 0, 1)
        } else {
            tensor.shallow_clone()
        };
        let bytes = bytes_of(&stored).map_err(torch)?;
        let shape: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
        let strides = if repeats {
            vec![0; shape.len()]
        } else {
            contiguous(&shape)
        };
        placed.push((
            name.clone(),
            Strided {
                storage: storages.len().to_string(),
                class: "FloatStorage".into(),
                elements: bytes.len() / 4,
                offset: 0,
                shape,
                strides,
            },
        ));
        storages.push(bytes);
    }
    let mut archive = ZipWriter::new(File::create(path).map_err(failed)?);
    let options = FileOptions::default().compression_method(CompressionMethod::Stored);
    let numbered = storages.iter().enumerate();
    let storages = numbered.map(|(key, bytes)| (format!("data/{key}"), bytes.as_slice()));
    let pickled = pickle::write(&placed);
    let fixed: [(&str, &[u8]); 3] = [
        ("data.pkl", &pickled),
        ("byteorder", b"little"),
        ("version", b"3\n"),
    ];
    let fixed = fixed.map(|(name, bytes)| (name.to_owned(), bytes));
    for (name, bytes) in fixed.into_iter().chain(storages) {
        archive
            .start_file(format!("archive/{name}"), options)
            .map_err(other)?;
        archive.write_all(bytes).map_err(failed)?;
    }
    let file = archive.finish().map_err(other)?;
    file.sync_all().map_err(failed)
}

/// The strides of a tensor whose elements are in order.
fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        strides[at - 1] = strides[at] * shape[at];
    }
    strides
}

/// Reads the tensors of a file as float32, on the CPU.
///
/// # Errors
/// The file cannot be read, or has more than tensors of floating-point numbers.
pub(super) fn read(path: &Path) -> Result<NamedTensors, TensorFileError> {
    let reading = |source| TensorFileError::Read {
        path: path.into(),
        source,
    };
    let malformed = |reason: String| TensorFileError::Foreign {
        path: path.into(),
        reason,
    };
    let file = files::open(path).map_err(reading)?;
    let mut archive = ZipArchive::new(file)
        .map_err(|error| malformed(format!("it is no ZIP archive: {error}")))?;
    let names = archive.file_names().map(ToOwned::to_owned);
    let names: Vec<String> = names.collect();
    let found = names.iter().find_map(|name| name.strip_suffix("/data.pkl"));
    let root = found.ok_or_else(|| malformed("it has no data.pkl".into()))?;
    let mut content = |name: &str, most: u64| -> Result<Vec<u8>, TensorFileError> {
        let entry = archive.by_name(&format!("{root}/{name}"));
        let entry = entry.map_err(|error| malformed(format!("{name}: {error}")))?;
        let mut bytes = Vec::new();
        entry.take(most).read_to_end(&mut bytes).map_err(reading)?;
        Ok(bytes)
    };
    let pickled = content("data.pkl", MAX_PICKLE)?;
    let placed = pickle::read(&pickled).map_err(malformed)?;
    let mut storages: HashMap<String, Tensor> = HashMap::new();
    let mut tensors = Vec::new();
    for (name, place) in placed {
        let storage = match storages.get(&place.storage) {
            Some(storage) => storage.shallow_clone(),
            None => {
                let storage = stored(
                    &place,
                    content(&format!("data/{}", place.storage), u64::MAX)?,
                )
                .map_err(malformed)?;
                storages.insert(place.storage.clone(), storage.shallow_clone());
                storage
            }
        };
        let tensor = strided(&storage, &place).map_err(malformed)?;
        tensors.push((name, tensor));
    }
    Ok(tensors)
}

/// Reads the tensors of a folder's safetensors file, or else of one of `torch.save`.
///
/// # Errors
/// As `read`.
pub(super) fn either(
    folder: &Path,
    safe: &str,
    torch: &str,
) -> Result<NamedTensors, TensorFileError> {
    let safe = folder.join(safe);
    match safe.is_file() {
        true => TensorFile::open(&safe)?.read_all(),
        false => read(&folder.join(torch)),
    }
}

/// A storage as float32.
fn stored(place: &Strided, bytes: Vec<u8>) -> Result<Tensor, String> {
    let (kind, width) = match place.class.as_str() {
        "FloatStorage" => (Kind::Float, 4),
        "HalfStorage" => (Kind::Half, 2),
        "BFloat16Storage" => (Kind::BFloat16, 2),
        "DoubleStorage" => (Kind::Double, 8),
        other => return Err(format!("it has a {other}")),
    };
    if Some(bytes.len()) != place.elements.checked_mul(width) {
        return Err(format!("data/{} is cut short", place.storage));
    }
    let numbers = Tensor::f_from_data_size(&bytes, &[place.elements as i64], kind);
    let numbers = numbers.and_then(|numbers| numbers.f_to_kind(Kind::Float));
    numbers.map_err(|error| sentence(&error))
}

/// A tensor within its storage.
fn strided(storage: &Tensor, place: &Strided) -> Result<Tensor, String> {
    let mut dimensions = std::iter::zip(&place.shape, &place.strides);
    let last = dimensions.try_fold(place.offset, |last, (size, stride)| {
        last.checked_add(size.saturating_sub(1).checked_mul(*stride)?)
    });
    let is_inside = last.is_some_and(|last| last < place.elements);
    if place.shape.len() != place.strides.len() || !is_inside {
        return Err("a tensor lies outside of its storage".into());
    }
    let signed = |sizes: &[usize]| sizes.iter().map(|size| *size as i64).collect::<Vec<_>>();
    let (shape, strides) = (signed(&place.shape), signed(&place.strides));
    let tensor = storage.f_as_strided(&shape, &strides, Some(place.offset as i64));
    let tensor = tensor.and_then(|tensor| tensor.f_contiguous());
    tensor.map_err(|error| sentence(&error))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_zeros_are_stored_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.bin");
        let zeros = Tensor::zeros([1], (Kind::Float, Device::Cpu)).expand([300, 200], false);
        let numbers = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3]);
        let all = vec![
            ("a".to_owned(), numbers.shallow_clone()),
            ("t".to_owned(), numbers.tr()),
            ("z".to_owned(), zeros),
        ];
        write(&path, &all).expect("it is written");
        assert!(path.metadata().expect("a file").len() < 2000);
        let found = read(&path).expect("tensors");
        assert_eq!(found.len(), 3);
        for ((name, tensor), (found_name, found)) in all.iter().zip(&found) {
            assert_eq!((name, tensor), (found_name, found));
        }
    }
}
