//! Decisions in one of two formats.

use std::{io::Write, str::FromStr};

use crate::{error::ExportError, json::write_line, parquet_file::ParquetWriter, row::DecisionRow};

/// How decisions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line; every line has every column.
    Ndjson,
    /// One Parquet file: row groups of at most 10,000 rows, Snappy, timestamps in microseconds UTC.
    Parquet,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ndjson" => Ok(Self::Ndjson),
            "parquet" => Ok(Self::Parquet),
            _ => Err("must be ndjson or parquet".into()),
        }
    }
}

enum Inner<W: Write + Send> {
    Ndjson(W),
    Parquet(Box<ParquetWriter<W>>),
}

/// Writes decisions as they come. Give it a buffered output.
pub struct DecisionWriter<W: Write + Send> {
    inner: Inner<W>,
    rows: u64,
}

impl<W: Write + Send> DecisionWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When its head cannot be written.
    pub fn new(format: Format, out: W) -> Result<Self, ExportError> {
        let inner = match format {
            Format::Ndjson => Inner::Ndjson(out),
            Format::Parquet => Inner::Parquet(Box::new(ParquetWriter::new(out)?)),
        };
        Ok(Self { inner, rows: 0 })
    }

    /// Adds a decision.
    ///
    /// # Errors
    /// When the output fails or, for NDJSON, a record or response is not JSON.
    pub fn write(&mut self, row: DecisionRow) -> Result<(), ExportError> {
        match &mut self.inner {
            Inner::Ndjson(out) => write_line(&row, out)?,
            Inner::Parquet(file) => file.write(row)?,
        }
        self.rows += 1;
        Ok(())
    }

    /// How many were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file and flushes it. Without this a Parquet file cannot be read.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(self) -> Result<W, ExportError> {
        let mut out = match self.inner {
            Inner::Ndjson(out) => out,
            Inner::Parquet(file) => file.finish()?,
        };
        out.flush()?;
        Ok(out)
    }
}
