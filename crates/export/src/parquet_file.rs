//! Rows as a Parquet file, written without Arrow.

use std::{io::Write, sync::Arc};

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{ColumnPath, Type},
};

use crate::{
    columns::{COLUMNS, Column, Value},
    error::ExportError,
    row::DecisionRow,
};

/// The most rows of one row group.
pub(crate) const GROUP_ROWS: usize = 10_000;
/// The most bytes of text that wait for their row group.
const GROUP_BYTES: usize = 32 << 20;
/// Told in the file's metadata; grows when columns are added.
const VERSION: &str = "1";

pub(crate) struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    waiting: Vec<DecisionRow>,
    bytes: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(crate) fn new(out: W) -> Result<Self, ExportError> {
        let file = SerializedFileWriter::new(out, Arc::new(schema()?), Arc::new(properties()))?;
        Ok(Self { file, waiting: Vec::new(), bytes: 0 })
    }

    pub(crate) fn write(&mut self, row: DecisionRow) -> Result<(), ExportError> {
        self.bytes += row.weight();
        self.waiting.push(row);
        if self.waiting.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<W, ExportError> {
        if !self.waiting.is_empty() {
            self.write_group()?;
        }
        Ok(self.file.into_inner()?)
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        let rows = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let mut group = self.file.next_row_group()?;
        for column in &COLUMNS {
            let Some(mut writer) = group.next_column()? else { break };
            write_column(&mut writer, column, &rows)?;
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }
}

fn write_column(
    writer: &mut SerializedColumnWriter<'_>,
    column: &Column,
    rows: &[DecisionRow],
) -> Result<(), ExportError> {
    let required = column.required;
    match column.value {
        Value::Text(value) => {
            let values = rows.iter().map(|row| value(row).map(|text| bytes(&text)));
            batch::<ByteArrayType>(writer, required, values)
        }
        Value::Json(value) => {
            let values = rows.iter().map(|row| value(row).map(bytes));
            batch::<ByteArrayType>(writer, required, values)
        }
        Value::Time(value) => {
            let values = rows.iter().map(|row| value(row).map(|time| time.as_microsecond()));
            batch::<Int64Type>(writer, required, values)
        }
        Value::Number(value) => batch::<DoubleType>(writer, required, rows.iter().map(value)),
        Value::Flag(value) => {
            batch::<BoolType>(writer, required, rows.iter().map(|row| Some(value(row))))
        }
    }
}

fn bytes(text: &str) -> ByteArray {
    ByteArray::from(text)
}

/// Writes the values that are there, and for optional columns which rows have one (definition
/// level 1) and which have none (0).
fn batch<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    required: bool,
    cells: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ExportError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    let levels = (!required).then_some(levels.as_slice());
    writer.typed::<T>().write_batch(&values, levels, None)?;
    Ok(())
}

fn schema() -> Result<Type, ExportError> {
    let field = |column: &Column| {
        let (physical, logical) = match column.value {
            Value::Text(_) | Value::Json(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Value::Time(_) => {
                (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
            }
            Value::Number(_) => (Physical::DOUBLE, None),
            Value::Flag(_) => (Physical::BOOLEAN, None),
        };
        let repetition = if column.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let field = Type::primitive_type_builder(column.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()?;
        Ok(Arc::new(field))
    };
    let fields: Result<_, ExportError> = COLUMNS.iter().map(field).collect();
    Ok(Type::group_type_builder("decision").with_fields(fields?).build()?)
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("weir ", env!("CARGO_PKG_VERSION")).into())
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "weir.columns".to_owned(),
            VERSION.to_owned(),
        )]));
    // A dictionary of values that never repeat, or bounds of JSON texts, are of use to nobody.
    for column in COLUMNS.iter().filter(|column| matches!(column.value, Value::Json(_))) {
        let path = ColumnPath::from(column.name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    properties.set_column_dictionary_enabled(ColumnPath::from("decision_id"), false).build()
}
