//! One flat column of a Parquet file: its type and its values.

use ::parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType, Decimal};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::RowGroupReader;
use ::parquet::record::Field;
use ::parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use half::f16;

/// The types of a column of labels.
pub(super) const LABELS: &str = "a string, a number, true or false";
const TEXTS: &str = "a string";

/// One value.
#[derive(Debug)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    /// Digits of a number that is no `Integer`, without zeros at the end.
    Decimal(String),
    /// Text that has not been checked to be UTF-8.
    Bytes(ByteArray),
    /// The values of a list.
    List(Vec<Cell>),
}

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holding {
    Boolean,
    /// Whole numbers with a sign.
    Signed,
    /// Unsigned whole numbers of this many bits.
    Unsigned(u32),
    /// Floats of 32 or 64 bits.
    Float,
    /// Floats of 16 bits.
    Half,
    Decimal {
        precision: i32,
        scale: i32,
    },
    Text,
    /// A type that is neither text nor label; its name in the plural.
    Other(&'static str),
}

/// The definition levels of a list's entries.
#[derive(Clone, Copy)]
struct List {
    /// Of a value.
    value: i16,
    /// Of a null among the values, if there may be one.
    null: Option<i16>,
    /// Of a null in place of the list, if there may be one.
    none: Option<i16>,
}

/// A column of the file.
pub(super) struct Column {
    /// Its index among the leaves of the schema.
    pub(super) index: usize,
    pub(super) name: String,
    holding: Holding,
    list: Option<List>,
}

impl Column {
    /// The column of a field of the schema's root, by the field's index; `has_lists` allows a list of single values.
    pub(super) fn find(
        schema: &SchemaDescriptor,
        root: usize,
        name: &str,
        has_lists: bool,
    ) -> Self {
        let leaves: Vec<usize> = (0..schema.num_columns())
            .filter(|leaf| schema.get_column_root_idx(*leaf) == root)
            .collect();
        let is_list = |leaf: usize| has_lists && schema.column(leaf).max_rep_level() == 1;
        let leaf = leaves.iter().copied().find(|leaf| {
            let column = schema.column(*leaf);
            let is_flat = column.path().parts().len() == 1 && column.max_rep_level() == 0;
            is_flat || leaves.len() == 1 && is_list(*leaf)
        });
        Self {
            list: leaf.filter(|leaf| is_list(*leaf)).map(|leaf| {
                let column = schema.column(leaf);
                let value = column.max_def_level();
                let field = &schema.root_schema().get_fields()[root];
                List {
                    value,
                    null: column.self_type().is_optional().then_some(value - 1),
                    none: field.is_optional().then_some(0),
                }
            }),
            index: leaf.unwrap_or_default(),
            name: name.into(),
            holding: match leaf {
                Some(leaf) => holding(&schema.column(leaf)),
                None => Holding::Other("lists or groups of values"),
            },
        }
    }

    /// The column's type and the expected one, if they differ.
    pub(super) fn refusal(&self, is_label: bool) -> Option<(&'static str, &'static str)> {
        let found = match (self.holding, is_label) {
            (Holding::Text, _) => return None,
            (Holding::Other(found), _) => found,
            (_, true) => return None,
            (Holding::Boolean, false) => "booleans",
            (_, false) => "numbers",
        };
        Some((found, if is_label { LABELS } else { TEXTS }))
    }

    /// The values of one row group, one per row.
    pub(super) fn read(&self, group: &dyn RowGroupReader) -> Result<Vec<Cell>, ParquetError> {
        let rows = usize::try_from(group.metadata().num_rows())
            .map_err(|_| ParquetError::General("a negative number of rows".into()))?;
        let whole = |value: i64| self.whole(value);
        let list = self.list;
        match group.get_column_reader(self.index)? {
            ColumnReader::BoolColumnReader(reader) => {
                cells(reader, rows, list, |value| Ok(Cell::Boolean(value)))
            }
            ColumnReader::Int32ColumnReader(reader) => {
                cells(reader, rows, list, |value| Ok(whole(value.into())))
            }
            ColumnReader::Int64ColumnReader(reader) => {
                cells(reader, rows, list, |value| Ok(whole(value)))
            }
            ColumnReader::FloatColumnReader(reader) => {
                cells(reader, rows, list, |value| Ok(Cell::Float(value.into())))
            }
            ColumnReader::DoubleColumnReader(reader) => {
                cells(reader, rows, list, |value| Ok(Cell::Float(value)))
            }
            ColumnReader::ByteArrayColumnReader(reader) => {
                cells(reader, rows, list, |value| self.bytes(value))
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                cells(reader, rows, list, |value| self.bytes(value.into()))
            }
            ColumnReader::Int96ColumnReader(_) => {
                Err(ParquetError::General("a column of timestamps".into()))
            }
        }
    }

    /// A number that is stored in 32 or 64 bits.
    fn whole(&self, stored: i64) -> Cell {
        match self.holding {
            Holding::Decimal { precision, scale } => {
                decimal(Decimal::from_i64(stored, precision, scale))
            }
            // Stored with the sign of its bits.
            Holding::Unsigned(bits) => {
                let mask = u64::MAX >> (64 - bits);
                Cell::Integer((stored as u64 & mask).into())
            }
            _ => Cell::Integer(stored.into()),
        }
    }

    fn bytes(&self, stored: ByteArray) -> Result<Cell, ParquetError> {
        match (self.holding, stored.data()) {
            (Holding::Decimal { precision, scale }, _) => {
                Ok(decimal(Decimal::from_bytes(stored, precision, scale)))
            }
            (Holding::Half, [low, high]) => {
                Ok(Cell::Float(f16::from_le_bytes([*low, *high]).into()))
            }
            (Holding::Half, other) => Err(ParquetError::General(format!(
                "a float of 16 bits with {} bytes",
                other.len()
            ))),
            _ => Ok(Cell::Bytes(stored)),
        }
    }
}

fn holding(column: &ColumnDescriptor) -> Holding {
    const TIMES: Holding = Holding::Other("dates or times");
    match (column.physical_type(), column.converted_type()) {
        (_, ConvertedType::DECIMAL) => {
            let (precision, scale) = (column.type_precision(), column.type_scale());
            match (0..=precision).contains(&scale) {
                true => Holding::Decimal { precision, scale },
                false => Holding::Other("decimals of an invalid scale"),
            }
        }
        (Physical::INT96, _)
        | (
            _,
            ConvertedType::DATE
            | ConvertedType::TIME_MILLIS
            | ConvertedType::TIME_MICROS
            | ConvertedType::TIMESTAMP_MILLIS
            | ConvertedType::TIMESTAMP_MICROS
            | ConvertedType::INTERVAL,
        ) => TIMES,
        (Physical::BOOLEAN, _) => Holding::Boolean,
        (Physical::INT32, ConvertedType::UINT_8) => Holding::Unsigned(8),
        (Physical::INT32, ConvertedType::UINT_16) => Holding::Unsigned(16),
        (Physical::INT32, ConvertedType::UINT_32) => Holding::Unsigned(32),
        (Physical::INT64, ConvertedType::UINT_64) => Holding::Unsigned(64),
        (Physical::INT32 | Physical::INT64, _) => match column.logical_type_ref() {
            // Of nanoseconds, which have no converted type.
            Some(LogicalType::Time(_) | LogicalType::Timestamp(_)) => TIMES,
            _ => Holding::Signed,
        },
        (Physical::FLOAT | Physical::DOUBLE, _) => Holding::Float,
        (Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY, _) => {
            match column.logical_type_ref() {
                Some(LogicalType::Float16) => Holding::Half,
                Some(LogicalType::Uuid) => Holding::Other("UUIDs in 16 bytes"),
                _ => Holding::Text,
            }
        }
    }
}

/// A decimal's digits: 1.50 is 1.5, and 1.00 the whole number 1.
fn decimal(value: Decimal) -> Cell {
    let digits = Field::Decimal(value).to_string();
    let short = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => &digits,
    };
    match short.parse() {
        Ok(whole) => Cell::Integer(whole),
        Err(_) => Cell::Decimal(short.into()),
    }
}

/// All values of a column in a group of `rows`; `list` has the levels of a list.
fn cells<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    list: Option<List>,
    cell: impl Fn(T::T) -> Result<Cell, ParquetError>,
) -> Result<Vec<Cell>, ParquetError> {
    let (mut levels, mut starts, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let starts = list.map(|_| &mut starts);
        let (records, _, _) =
            reader.read_records(rows - read, Some(&mut levels), starts, &mut values)?;
        if records == 0 {
            return Err(ParquetError::General(format!(
                "a column has {read} of its group's {rows} rows"
            )));
        }
        read += records;
    }
    let mut values = values.into_iter();
    let mut next = || values.next().map_or(Ok(Cell::Null), &cell);
    if let Some(list) = list {
        return lists(&levels, &starts, list, next);
    }
    // A column that cannot be null has no levels.
    if levels.is_empty() {
        return (0..rows).map(|_| next()).collect();
    }
    levels
        .into_iter()
        .map(|level| if level > 0 { next() } else { Ok(Cell::Null) })
        .collect()
}

/// The lists of a column, by the levels of its entries: a record starts at repetition level 0.
fn lists(
    levels: &[i16],
    starts: &[i16],
    list: List,
    mut next: impl FnMut() -> Result<Cell, ParquetError>,
) -> Result<Vec<Cell>, ParquetError> {
    let mut found = Vec::new();
    for (level, start) in levels.iter().zip(starts) {
        if *start == 0 {
            found.push(match list.none == Some(*level) {
                true => Cell::Null,
                false => Cell::List(Vec::new()),
            });
        }
        let cell = match *level {
            level if level == list.value => next()?,
            level if list.null == Some(level) => Cell::Null,
            _ => continue,
        };
        match found.last_mut() {
            Some(Cell::List(cells)) => cells.push(cell),
            _ => return Err(ParquetError::General("a list without a start".into())),
        }
    }
    Ok(found)
}
