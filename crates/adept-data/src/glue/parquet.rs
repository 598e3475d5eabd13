//! Parquet files as the hub lays them out: one flat column a field, texts as UTF-8 byte arrays, `label` as a whole
//! number (the class), a float (STS-B's score) or a class name. Rows count from 0.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::SchemaDescriptor;

use super::rows::{RawLabel, Rows};
use crate::DataError;

/// Reads a whole file of `bytes` bytes into `rows`.
pub(super) fn read(file: File, bytes: u64, rows: &mut Rows) -> Result<(), DataError> {
    let path = rows.file.clone();
    // Damaged pages can make the decoder panic instead of failing; that is a damaged file and no slip of the program.
    // What `rows` holds by then is dropped with the error, so nothing half-made is seen afterwards.
    catch_unwind(AssertUnwindSafe(|| read_groups(file, bytes, rows)))
        .unwrap_or(Err(DataError::ParquetDamaged { file: path, bytes }))
}

fn read_groups(file: File, bytes: u64, rows: &mut Rows) -> Result<(), DataError> {
    let path = rows.file.clone();
    let damaged = |source: ParquetError| DataError::Parquet {
        file: path.clone(),
        bytes,
        source,
    };
    let reader = SerializedFileReader::new(file).map_err(damaged)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let text_columns = rows
        .text_fields()
        .iter()
        .map(|field| position(rows, &schema, field).map(|column| (*field, column)))
        .collect::<Result<Vec<_>, _>>()?;
    let label_column = position(rows, &schema, rows.label_field())?;

    let mut first_row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(damaged)?;
        let count = usize::try_from(group.metadata().num_rows())
            .map_err(|_| damaged(ParquetError::General("a negative number of rows".to_string())))?;
        let mut source = Group {
            rows,
            group: group.as_ref(),
            bytes,
            first_row,
            count,
        };
        let mut texts = Vec::with_capacity(text_columns.len());
        for &(field, column) in &text_columns {
            texts.push(source.texts(field, column)?);
        }
        let labels = source.labels(rows.label_field(), label_column)?;
        for row in 0..count {
            let texts = texts.iter().map(|column| column[row].as_str()).collect::<Vec<_>>();
            rows.push(first_row + row, &texts, labels.get(row))?;
        }
        first_row += count;
    }
    Ok(())
}

/// Finds a flat column by its name.
fn position(rows: &Rows, schema: &SchemaDescriptor, expected: &'static str) -> Result<usize, DataError> {
    let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    names
        .iter()
        .position(|name| name == expected)
        .ok_or_else(|| DataError::MissingColumn {
            file: rows.file.clone(),
            expected,
            found: names,
        })
}

/// The label column of one row group.
enum Labels {
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
}

impl Labels {
    fn get(&self, row: usize) -> RawLabel<'_> {
        match self {
            Self::Texts(texts) => RawLabel::Text(&texts[row]),
            Self::Integers(numbers) => RawLabel::Integer(numbers[row]),
            Self::Numbers(numbers) => RawLabel::Number(numbers[row]),
        }
    }
}

/// One row group, and what its errors need to name.
struct Group<'a> {
    rows: &'a Rows,
    group: &'a (dyn RowGroupReader + 'a),
    bytes: u64,
    first_row: usize,
    count: usize,
}

impl Group<'_> {
    fn texts(&mut self, field: &'static str, column: usize) -> Result<Vec<String>, DataError> {
        match self.column(column)? {
            ColumnReader::ByteArrayColumnReader(reader) => self.strings(field, reader),
            other => Err(self.wrong_type(field, "a column of strings", &other)),
        }
    }

    fn labels(&mut self, field: &'static str, column: usize) -> Result<Labels, DataError> {
        Ok(match self.column(column)? {
            ColumnReader::ByteArrayColumnReader(reader) => Labels::Texts(self.strings(field, reader)?),
            ColumnReader::Int64ColumnReader(reader) => Labels::Integers(self.values(field, reader)?),
            ColumnReader::Int32ColumnReader(reader) => {
                Labels::Integers(self.values(field, reader)?.into_iter().map(i64::from).collect())
            }
            ColumnReader::FloatColumnReader(reader) => {
                Labels::Numbers(self.values(field, reader)?.into_iter().map(f64::from).collect())
            }
            ColumnReader::DoubleColumnReader(reader) => Labels::Numbers(self.values(field, reader)?),
            other => return Err(self.wrong_type(field, "a column of numbers or class names", &other)),
        })
    }

    fn column(&self, column: usize) -> Result<ColumnReader, DataError> {
        self.group
            .get_column_reader(column)
            .map_err(|source| self.damaged(source))
    }

    fn strings(
        &self,
        field: &'static str,
        reader: ColumnReaderImpl<parquet::data_type::ByteArrayType>,
    ) -> Result<Vec<String>, DataError> {
        let values: Vec<ByteArray> = self.values(field, reader)?;
        let text = |(row, value): (usize, ByteArray)| match std::str::from_utf8(value.data()) {
            Ok(text) => Ok(text.to_string()),
            Err(error) => Err(DataError::NotUtf8 {
                file: self.rows.file.clone(),
                line: self.first_row + row,
                column: error.valid_up_to() + 1,
                byte: value.data()[error.valid_up_to()],
            }),
        };
        values.into_iter().enumerate().map(text).collect()
    }

    /// All values of a column: exactly one a row, or an error.
    fn values<T: DataType>(
        &self,
        field: &'static str,
        mut reader: ColumnReaderImpl<T>,
    ) -> Result<Vec<T::T>, DataError> {
        let (mut values, mut defined) = (Vec::new(), Vec::new());
        let mut found = 0;
        while found < self.count {
            let (records, _, _) = reader
                .read_records(self.count - found, Some(&mut defined), None, &mut values)
                .map_err(|source| self.damaged(source))?;
            if records == 0 {
                break;
            }
            found += records;
        }
        if found != self.count {
            let (file, expected) = (self.rows.file.clone(), self.count);
            return Err(DataError::ParquetRows {
                file,
                column: field,
                expected,
                found,
            });
        }
        if values.len() != found {
            // An absent value has a lower definition level than the present ones.
            let present = defined.iter().max().copied().unwrap_or_default();
            let absent = defined.iter().position(|&level| level < present).unwrap_or_default();
            let (file, line) = (self.rows.file.clone(), self.first_row + absent);
            return Err(DataError::FieldType {
                file,
                line,
                field,
                expected: "a value",
                found: "null".to_string(),
            });
        }
        Ok(values)
    }

    fn damaged(&self, source: ParquetError) -> DataError {
        DataError::Parquet {
            file: self.rows.file.clone(),
            bytes: self.bytes,
            source,
        }
    }

    fn wrong_type(&self, field: &'static str, expected: &'static str, found: &ColumnReader) -> DataError {
        let found = match found {
            ColumnReader::BoolColumnReader(_) => Type::BOOLEAN,
            ColumnReader::Int32ColumnReader(_) => Type::INT32,
            ColumnReader::Int64ColumnReader(_) => Type::INT64,
            ColumnReader::Int96ColumnReader(_) => Type::INT96,
            ColumnReader::FloatColumnReader(_) => Type::FLOAT,
            ColumnReader::DoubleColumnReader(_) => Type::DOUBLE,
            ColumnReader::ByteArrayColumnReader(_) => Type::BYTE_ARRAY,
            ColumnReader::FixedLenByteArrayColumnReader(_) => Type::FIXED_LEN_BYTE_ARRAY,
        };
        let file = self.rows.file.clone();
        DataError::FieldType {
            file,
            line: self.first_row,
            field,
            expected,
            found: format!("{found}"),
        }
    }
}
