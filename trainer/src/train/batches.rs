//! Which examples go into which batch, and the batches themselves.
//!
//! N is the number of examples, T the longest of them in tokens, B the examples of a batch. The
//! examples are copied to the device once, padded; batches are made there.

use autopeft_crds::spec::Padding;
use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Device, Kind, TchError, Tensor};

use crate::encoder::sites::Batch;
use crate::task::Targets;
use crate::tokenize::Encoded;

/// Examples are sorted by length within windows of this many batches: large enough for little padding, small enough for
/// a random order.
const WINDOW_BATCHES: usize = 50;

/// The examples of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Their indices in the data set.
    pub rows: Vec<i64>,
    /// The length that they are padded to.
    pub length: usize,
}

/// A group whose indices are on the device.
#[derive(Debug)]
pub struct Placed {
    /// `[B]`.
    rows: Tensor,
    length: i64,
}

/// How examples are batched.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// B.
    pub batch_size: usize,
    /// What a batch is padded to.
    pub padding: Padding,
    /// The length under `Padding::MaxLength`.
    pub max_length: usize,
}

impl Batching {
    /// The batches of one training epoch: examples in random order, sorted by length within
    /// windows, batches in random order.
    pub fn shuffled(&self, lengths: &[usize], random: &mut impl Rng) -> Vec<Group> {
        let mut rows: Vec<usize> = (0..lengths.len()).collect();
        rows.shuffle(random);
        if self.padding == Padding::Longest {
            for window in rows.chunks_mut(self.batch_size * WINDOW_BATCHES) {
                window.sort_by_key(|row| lengths[*row]);
            }
        }
        let mut groups = self.groups(&rows, lengths);
        groups.shuffle(random);
        groups
    }

    /// The batches of validation: by length, the same every time.
    pub fn sorted(&self, lengths: &[usize]) -> Vec<Group> {
        let mut rows: Vec<usize> = (0..lengths.len()).collect();
        rows.sort_by_key(|row| lengths[*row]);
        self.groups(&rows, lengths)
    }

    fn groups(&self, rows: &[usize], lengths: &[usize]) -> Vec<Group> {
        rows.chunks(self.batch_size)
            .map(|rows| Group {
                rows: rows.iter().map(|row| *row as i64).collect(),
                length: match self.padding {
                    Padding::MaxLength => self.max_length,
                    Padding::Longest => rows.iter().map(|row| lengths[*row]).max().unwrap_or(0),
                },
            })
            .collect()
    }
}

/// A data set on a device. An example of multiple choice has several texts, one after the other; it is as long as its
/// longest one. M is the number of texts, N without choices.
#[derive(Debug)]
pub struct DataSet {
    /// `[M, T]`, 32 bits: half the memory of the embedding's index type.
    ids: Tensor,
    /// `[M, T]`, 8 bits.
    types: Tensor,
    /// `[M, 1]`.
    lengths_column: Tensor,
    /// `[1, T]`: 0, 1, 2, ….
    positions: Tensor,
    /// `[N]`: classes as i64, or numbers as f32; `[N, C]` as f32 for sets: 1 for a class in the set.
    targets: Tensor,
    lengths: Vec<usize>,
    tokens: Vec<usize>,
    /// Texts per example.
    choices: i64,
    device: Device,
}

impl DataSet {
    /// Puts examples on a device. `max_length` is T where batches are padded to it.
    pub fn new(
        encoded: &Encoded,
        targets: &Targets,
        pad_id: i64,
        batching: &Batching,
        device: Device,
    ) -> Result<Self, TchError> {
        let width = match batching.padding {
            Padding::MaxLength => batching.max_length,
            Padding::Longest => encoded.lengths.iter().copied().max().unwrap_or(0),
        };
        let count = encoded.lengths.len();
        let mut ids = vec![pad_id as i32; count * width];
        let mut types = vec![0_i8; count * width];
        let mut read = 0;
        for (row, length) in encoded.lengths.iter().enumerate() {
            let to = row * width..row * width + length;
            ids[to.clone()].copy_from_slice(&encoded.ids[read..read + length]);
            types[to].copy_from_slice(&encoded.types[read..read + length]);
            read += length;
        }
        let shape = [count as i64, width as i64];
        let lengths: Vec<i64> = encoded
            .lengths
            .iter()
            .map(|length| *length as i64)
            .collect();
        let choices = (count / targets.len().max(1)).max(1);
        let examples = encoded.lengths.chunks(choices);
        let targets = match targets {
            Targets::Classes(classes) => Tensor::f_from_slice(classes)?,
            Targets::Numbers(numbers) => Tensor::f_from_slice(numbers)?.f_to_kind(Kind::Float)?,
            Targets::Sets(sets) => {
                let mut chosen = vec![0_f32; sets.members.len() * sets.classes];
                for (row, set) in chosen.chunks_mut(sets.classes).zip(&sets.members) {
                    for class in set {
                        row[*class as usize] = 1.0;
                    }
                }
                Tensor::f_from_slice(&chosen)?.f_view([-1, sets.classes as i64])?
            }
        };
        Ok(Self {
            ids: Tensor::f_from_slice(&ids)?
                .f_view(shape)?
                .f_to_device(device)?,
            types: Tensor::f_from_slice(&types)?
                .f_view(shape)?
                .f_to_device(device)?,
            lengths_column: Tensor::f_from_slice(&lengths)?
                .f_unsqueeze(1)?
                .f_to_device(device)?,
            positions: Tensor::f_arange(width as i64, (Kind::Int64, device))?.f_unsqueeze(0)?,
            targets: targets.f_to_device(device)?,
            lengths: examples
                .clone()
                .map(|texts| texts.iter().copied().max().unwrap_or(0))
                .collect(),
            tokens: examples.map(|texts| texts.iter().sum()).collect(),
            choices: choices as i64,
            device,
        })
    }

    /// Tokens of each example's longest text.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Tokens of each example.
    pub fn tokens(&self) -> &[usize] {
        &self.tokens
    }

    /// Copies the indices of groups to the device, all at once: the host waits for each copy.
    pub fn place(&self, groups: &[Group]) -> Result<Vec<Placed>, TchError> {
        let rows: Vec<i64> = groups.iter().flat_map(|group| group.rows.clone()).collect();
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(self.device)?;
        let mut start = 0;
        let place = |group: &Group| {
            let count = group.rows.len() as i64;
            let rows = rows.f_narrow(0, start, count)?;
            start += count;
            let length = group.length as i64;
            Ok(Placed { rows, length })
        };
        groups.iter().map(place).collect()
    }

    /// A batch and its targets, `[B]`, or `[B, C]` for sets.
    pub fn batch(&self, group: &Placed) -> Result<(Batch, Tensor), TchError> {
        let Placed { rows, length } = group;
        let length = *length;
        let texts = self.texts(rows)?;
        // [M, T] -> [texts of the batch, length]
        let cut = |all: &Tensor| {
            all.f_narrow(1, 0, length)?
                .f_index_select(0, &texts)?
                .f_to_kind(Kind::Int64)
        };
        let lengths = self.lengths_column.f_index_select(0, &texts)?;
        let visible = self
            .positions
            .f_narrow(1, 0, length)?
            .f_lt_tensor(&lengths)?;
        Ok((
            Batch {
                input_ids: cut(&self.ids)?,
                attention_mask: visible.f_to_kind(Kind::Int64)?,
                token_type_ids: cut(&self.types)?,
            },
            self.targets.f_index_select(0, rows)?,
        ))
    }

    /// The indices of the texts of some examples.
    fn texts(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        if self.choices == 1 {
            return Ok(rows.shallow_clone());
        }
        let choices = Tensor::f_arange(self.choices, (Kind::Int64, self.device))?;
        let first = rows.f_mul_scalar(self.choices)?.f_unsqueeze(1)?;
        first.f_add(&choices)?.f_flatten(0, -1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::seeds::generator;
    use super::*;

    fn batching(padding: Padding) -> Batching {
        Batching {
            batch_size: 4,
            padding,
            max_length: 9,
        }
    }

    fn lengths(count: usize) -> Vec<usize> {
        (0..count).map(|row| 3 + row * 7 % 6).collect()
    }

    #[test]
    fn an_epoch_has_every_example_once_and_follows_from_its_seed() {
        let lengths = lengths(1003);
        let batching = batching(Padding::Longest);
        let epoch = |seed| batching.shuffled(&lengths, &mut generator(seed));
        let groups = epoch(1);
        let mut rows: Vec<i64> = groups.iter().flat_map(|group| group.rows.clone()).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..1003).collect::<Vec<i64>>());
        assert_eq!(groups, epoch(1));
        assert_ne!(groups, epoch(2));
        let mut random = generator(1);
        batching.shuffled(&lengths, &mut random);
        assert_ne!(groups, batching.shuffled(&lengths, &mut random));
    }

    #[test]
    fn batches_of_like_length_have_little_padding() {
        let lengths = lengths(1000);
        let groups = batching(Padding::Longest).shuffled(&lengths, &mut generator(1));
        let padded: usize = groups
            .iter()
            .map(|group| group.rows.len() * group.length)
            .sum();
        let tokens: usize = lengths.iter().sum();
        assert!(padded < tokens * 105 / 100, "{padded} for {tokens}");
        let full = batching(Padding::MaxLength).shuffled(&lengths, &mut generator(1));
        assert!(full.iter().all(|group| group.length == 9));
    }

    #[test]
    fn a_batch_is_padded_masked_and_has_its_own_targets() {
        let encoded = Encoded {
            ids: vec![5, 6, 7, 8, 9],
            types: vec![0, 0, 1, 0, 0],
            lengths: vec![3, 2],
        };
        let data = DataSet::new(
            &encoded,
            &Targets::Numbers(vec![0.5, -1.5]),
            1,
            &batching(Padding::Longest),
            Device::Cpu,
        )
        .expect("a data set");
        let group = Group {
            rows: vec![1, 0],
            length: 3,
        };
        let placed = data.place(&[group]).expect("on the CPU");
        let (batch, targets) = data.batch(&placed[0]).expect("a batch");
        let flat = |tensor: &Tensor| Vec::<i64>::try_from(tensor.flatten(0, 1)).expect("integers");
        assert_eq!(flat(&batch.input_ids), [8, 9, 1, 5, 6, 7]);
        assert_eq!(flat(&batch.attention_mask), [1, 1, 0, 1, 1, 1]);
        assert_eq!(flat(&batch.token_type_ids), [0, 0, 0, 0, 0, 1]);
        assert_eq!(Vec::<f32>::try_from(targets).expect("floats"), [-1.5, 0.5]);
    }
}
