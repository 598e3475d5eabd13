//! Parquet files in the hub's layout: one leaf column per field, flat or a list. Rows count from 0.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::{Compression, ConvertedType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::SchemaDescriptor;

use super::cell::Cell;
use super::footer;
use super::pages::{Bounded, Within};
use super::rows::Rows;
use crate::DataError;
use crate::task::Place;

/// Names that parquet writers insert into the path of a list column; they are not part of the field's name.
const LIST_LEVELS: [&str; 5] = ["list", "element", "item", "bag", "array_element"];

/// Reads a whole file of `bytes` bytes into `rows`.
pub(super) fn read(file: File, bytes: u64, rows: &mut Rows<'_>) -> Result<(), DataError> {
    let path = rows.file.clone();
    let damaged = |source: ParquetError| DataError::Parquet {
        file: path.clone(),
        bytes,
        source,
    };
    footer::check(&file, bytes).map_err(damaged)?;
    let reader = decode(&path, bytes, || {
        SerializedFileReader::new(Within(file)).map_err(damaged)
    })?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let columns = rows
        .plan()
        .fields
        .iter()
        .map(|(_, place)| leaf(rows, &schema, place))
        .collect::<Result<Vec<_>, _>>()?;

    let mut first_row = 0;
    for group in 0..reader.num_row_groups() {
        let (values, count) = decode(&path, bytes, || {
            let group = reader.get_row_group(group).map_err(damaged)?;
            let count = usize::try_from(group.metadata().num_rows())
                .map_err(|_| damaged(ParquetError::General("a negative number of rows".to_string())))?;
            let source = Group {
                rows,
                group: group.as_ref(),
                bytes,
                first_row,
                count,
            };
            let values: Vec<Column> = columns
                .iter()
                .map(|leaf| source.column(leaf))
                .collect::<Result<_, _>>()?;
            Ok((values, count))
        })?;
        for row in 0..count {
            let cells: Vec<Cell<'_>> = values.iter().map(|column| column.cell(row)).collect();
            rows.push(first_row + row, &cells)?;
        }
        first_row += count;
    }
    Ok(())
}

/// Runs part of the decoding. Corrupt pages can make the decoder panic instead of returning an error; that is a fault
/// of the file, not of the program. Nothing that `work` has started is observed after a panic.
fn decode<T>(path: &Path, bytes: u64, work: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(DataError::ParquetDamaged {
            file: path.to_path_buf(),
            bytes,
        })
    })
}

/// The leaf column of a field.
struct Leaf {
    field: String,
    column: usize,
    is_list: bool,
    /// Definition level of a value that is present.
    present: i16,
    /// Definition level of a null in place of a value; `None` if the schema does not allow nulls.
    null: Option<i16>,
    /// Number of decimals of a decimal stored as an integer.
    scale: Option<i32>,
}

/// Finds a field's column by its path, ignoring the names of list levels.
fn leaf(rows: &Rows<'_>, schema: &SchemaDescriptor, place: &Place) -> Result<Leaf, DataError> {
    let field = match place {
        Place::Path(path) => path.replace("[]", ""),
        Place::List(list) => list.path.replace("[]", ""),
        Place::Paragraphs(paragraphs) => paragraphs.sentences.clone(),
        Place::Messages(place) => place.messages.clone(),
    };
    let plain = |parts: &[String]| {
        let named = parts
            .iter()
            .enumerate()
            .filter(|(depth, part)| *depth == 0 || !LIST_LEVELS.contains(&part.as_str()));
        named.map(|(_, part)| part.as_str()).collect::<Vec<_>>().join(".")
    };
    let names: Vec<String> = schema
        .columns()
        .iter()
        .map(|column| plain(column.path().parts()))
        .collect();
    let Some(column) = names.iter().position(|name| *name == field) else {
        return Err(DataError::MissingColumn {
            file: rows.file.clone(),
            expected: field,
            found: names,
        });
    };
    if let Some(behind) = names[column + 1..].iter().position(|name| *name == field) {
        return Err(DataError::DoubleColumn {
            file: rows.file.clone(),
            column: field,
            first: column + 1,
            second: column + behind + 2,
        });
    }
    let descriptor = schema.column(column);
    let present = descriptor.max_def_level();
    Ok(Leaf {
        field,
        column,
        is_list: descriptor.max_rep_level() > 0,
        present,
        null: descriptor.self_type().is_optional().then(|| present - 1),
        scale: match descriptor.converted_type() {
            ConvertedType::DECIMAL => Some(descriptor.type_scale()),
            _ => None,
        },
    })
}

/// The values of one column in one row group.
enum Column {
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Flags(Vec<bool>),
    /// Values of all rows, and the start offset of each row.
    Lists(Box<Column>, Vec<usize>),
}

impl Column {
    fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Texts(values) => Cell::text(&values[row]),
            Self::Integers(values) => Cell::Integer(values[row]),
            Self::Numbers(values) => Cell::Number(values[row]),
            Self::Flags(values) => Cell::Flag(values[row]),
            Self::Lists(values, starts) => {
                Cell::List((starts[row]..starts[row + 1]).map(|value| values.cell(value)).collect())
            }
        }
    }
}

/// Raw values of a column with their definition and repetition levels.
struct Raw<T> {
    values: Vec<T>,
    defined: Vec<i16>,
    repeated: Vec<i16>,
}

/// One row group, with what its errors need to report.
struct Group<'a, 'r> {
    rows: &'a Rows<'r>,
    group: &'a (dyn RowGroupReader + 'a),
    bytes: u64,
    first_row: usize,
    count: usize,
}

impl Group<'_, '_> {
    fn column(&self, leaf: &Leaf) -> Result<Column, DataError> {
        let chunk = self.group.metadata().column(leaf.column);
        if let codec @ Compression::LZO = chunk.compression() {
            return Err(DataError::ParquetCodec {
                file: self.rows.file.clone(),
                column: leaf.field.clone(),
                codec: codec.to_string(),
            });
        }
        let (start, length) = chunk.byte_range();
        if start.checked_add(length).is_none_or(|end| end > self.bytes) {
            let beyond = format!("column `{}` of {length} bytes at byte {start}", leaf.field);
            return Err(self.damaged(ParquetError::EOF(beyond)));
        }
        let pages = self
            .group
            .get_column_page_reader(leaf.column)
            .map_err(|source| self.damaged(source))?;
        let pages = Bounded::new(pages, chunk.column_descr_ptr(), self.bytes);
        match get_column_reader(chunk.column_descr_ptr(), Box::new(pages)) {
            ColumnReader::ByteArrayColumnReader(reader) => self.texts(leaf, reader),
            ColumnReader::Int64ColumnReader(reader) => self.whole_numbers(leaf, reader, |n| n),
            ColumnReader::Int32ColumnReader(reader) => self.whole_numbers(leaf, reader, i64::from),
            ColumnReader::FloatColumnReader(reader) => self.typed(leaf, reader, Column::Numbers, f64::from),
            ColumnReader::DoubleColumnReader(reader) => self.typed(leaf, reader, Column::Numbers, |n| n),
            ColumnReader::BoolColumnReader(reader) => self.typed(leaf, reader, Column::Flags, |flag| flag),
            ColumnReader::Int96ColumnReader(_) => Err(self.wrong_type(leaf, Type::INT96)),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Err(self.wrong_type(leaf, Type::FIXED_LEN_BYTE_ARRAY)),
        }
    }

    fn texts(&self, leaf: &Leaf, reader: ColumnReaderImpl<ByteArrayType>) -> Result<Column, DataError> {
        let raw = self.raw(leaf, reader)?;
        let text = |(place, value): (usize, &ByteArray)| match std::str::from_utf8(value.data()) {
            Ok(text) => Ok(text.to_string()),
            Err(error) => Err(DataError::FieldType {
                file: self.rows.file.clone(),
                line: self.first_row + row_of_value(leaf, &raw.defined, &raw.repeated, place),
                field: leaf.field.clone(),
                expected: "UTF-8",
                found: format!(
                    "byte 0x{:02x} at byte {}",
                    value.data()[error.valid_up_to()],
                    error.valid_up_to() + 1
                ),
            }),
        };
        let values = raw.values.iter().enumerate().map(text).collect::<Result<_, _>>()?;
        self.placed(
            leaf,
            Column::Texts(values),
            raw.values.len(),
            &raw.defined,
            &raw.repeated,
        )
    }

    fn whole_numbers<T: DataType>(
        &self,
        leaf: &Leaf,
        reader: ColumnReaderImpl<T>,
        convert: fn(T::T) -> i64,
    ) -> Result<Column, DataError> {
        match leaf.scale {
            None => self.typed(leaf, reader, Column::Integers, convert),
            // Divided rather than multiplied by a power of ten's inverse, so that 425 hundredths are exactly 4.25.
            Some(scale) => self.typed(leaf, reader, Column::Numbers, |n| {
                convert(n) as f64 / 10_f64.powi(scale)
            }),
        }
    }

    fn typed<T: DataType, U>(
        &self,
        leaf: &Leaf,
        reader: ColumnReaderImpl<T>,
        column: fn(Vec<U>) -> Column,
        convert: impl Fn(T::T) -> U,
    ) -> Result<Column, DataError> {
        let raw = self.raw(leaf, reader)?;
        let count = raw.values.len();
        let values = column(raw.values.into_iter().map(convert).collect());
        self.placed(leaf, values, count, &raw.defined, &raw.repeated)
    }

    /// All values of a column, verified to cover exactly the group's rows.
    fn raw<T: DataType>(&self, leaf: &Leaf, mut reader: ColumnReaderImpl<T>) -> Result<Raw<T::T>, DataError> {
        let mut raw = Raw {
            values: Vec::new(),
            defined: Vec::new(),
            repeated: Vec::new(),
        };
        let mut found = 0;
        while found < self.count {
            let (records, _, _) = reader
                .read_records(
                    self.count - found,
                    Some(&mut raw.defined),
                    Some(&mut raw.repeated),
                    &mut raw.values,
                )
                .map_err(|source| self.damaged(source))?;
            if records == 0 {
                break;
            }
            found += records;
        }
        if found != self.count {
            return Err(DataError::ParquetRows {
                file: self.rows.file.clone(),
                column: leaf.field.clone(),
                expected: self.count,
                found,
            });
        }
        Ok(raw)
    }

    /// Assigns each row its value or list of values.
    fn placed(
        &self,
        leaf: &Leaf,
        values: Column,
        count: usize,
        defined: &[i16],
        repeated: &[i16],
    ) -> Result<Column, DataError> {
        if !leaf.is_list {
            if count == self.count {
                return Ok(values);
            }
            let absent = defined.iter().position(|&level| level < leaf.present);
            return Err(self.null(leaf, absent.unwrap_or_default()));
        }
        let (mut starts, mut value) = (Vec::with_capacity(self.count + 1), 0);
        for (&defined, &repeated) in defined.iter().zip(repeated) {
            if repeated == 0 {
                starts.push(value);
            }
            if Some(defined) == leaf.null {
                return Err(self.null(leaf, starts.len().saturating_sub(1)));
            }
            // An empty list has one entry without a value.
            value += usize::from(defined == leaf.present);
        }
        starts.push(value);
        if starts.len() != self.count + 1 || value != count {
            return Err(DataError::ParquetRows {
                file: self.rows.file.clone(),
                column: leaf.field.clone(),
                expected: self.count,
                found: starts.len() - 1,
            });
        }
        Ok(Column::Lists(Box::new(values), starts))
    }

    fn null(&self, leaf: &Leaf, row: usize) -> DataError {
        DataError::FieldType {
            file: self.rows.file.clone(),
            line: self.first_row + row,
            field: leaf.field.clone(),
            expected: "a value",
            found: "null".to_string(),
        }
    }

    fn damaged(&self, source: ParquetError) -> DataError {
        DataError::Parquet {
            file: self.rows.file.clone(),
            bytes: self.bytes,
            source,
        }
    }

    fn wrong_type(&self, leaf: &Leaf, found: Type) -> DataError {
        DataError::FieldType {
            file: self.rows.file.clone(),
            line: self.first_row,
            field: leaf.field.clone(),
            expected: "a column of strings, numbers or flags",
            found: found.to_string(),
        }
    }
}

/// The row, counted from the group's first, that a value belongs to.
fn row_of_value(leaf: &Leaf, defined: &[i16], repeated: &[i16], value: usize) -> usize {
    if !leaf.is_list {
        return value;
    }
    let (mut seen, mut rows) = (0, 0_usize);
    for (&defined, &repeated) in defined.iter().zip(repeated) {
        rows += usize::from(repeated == 0);
        if defined == leaf.present {
            if seen == value {
                break;
            }
            seen += 1;
        }
    }
    rows.saturating_sub(1)
}
