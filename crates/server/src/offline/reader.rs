//! Reads cases from NDJSON files, in the order given.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::Case;

/// The longest line read, in bytes.
const LINE_MAX: u64 = 1 << 20;

/// A line that is no case.
#[derive(Debug, thiserror::Error)]
#[error("{path}:{line}: {detail}")]
pub(crate) struct LineError {
    path: String,
    line: usize,
    detail: String,
}

/// An iterator over the cases of several files, with a progress bar in bytes.
pub(crate) struct CaseReader {
    waiting: VecDeque<PathBuf>,
    current: Option<(PathBuf, BufReader<File>, usize)>,
    progress: ProgressBar,
}

impl CaseReader {
    /// Opens nothing yet, but makes sure that every file is there.
    pub(crate) fn open(files: &[PathBuf], progress: bool) -> anyhow::Result<Self> {
        let mut bytes = 0;
        for path in files {
            let metadata =
                std::fs::metadata(path).with_context(|| format!("{}", path.display()))?;
            bytes += metadata.len();
        }
        let progress = if progress { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
        let template =
            "{bar:30} {percent:>3}%  {bytes_per_sec}  {elapsed_precise} (eta {eta})  {msg}";
        progress.set_style(ProgressStyle::with_template(template)?);
        Ok(Self { waiting: files.iter().cloned().collect(), current: None, progress })
    }

    /// The bar, for messages beside it.
    pub(crate) fn progress(&self) -> &ProgressBar {
        &self.progress
    }

    /// The next case; `None` at the end of the last file.
    pub(crate) fn next_case(&mut self) -> anyhow::Result<Option<Result<Case, LineError>>> {
        let mut line = Vec::new();
        loop {
            let Some((path, reader, number)) = &mut self.current else {
                let Some(path) = self.waiting.pop_front() else {
                    self.progress.finish_and_clear();
                    return Ok(None);
                };
                let file = File::open(&path).with_context(|| format!("{}", path.display()))?;
                self.current = Some((path, BufReader::with_capacity(1 << 18, file), 0));
                continue;
            };
            line.clear();
            let read = reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
            *number += 1;
            if read == 0 {
                self.current = None;
                continue;
            }
            self.progress.inc(read as u64);
            let place =
                |detail| LineError { path: path.display().to_string(), line: *number, detail };
            if read as u64 == LINE_MAX {
                return Ok(Some(Err(place(format!("is longer than {LINE_MAX} bytes")))));
            }
            let text = match std::str::from_utf8(&line) {
                Ok(text) => text.trim(),
                Err(_) => return Ok(Some(Err(place("is not UTF-8".into())))),
            };
            if text.is_empty() {
                continue;
            }
            return Ok(Some(Case::parse(text).map_err(|violations| place(violations.to_string()))));
        }
    }
}
