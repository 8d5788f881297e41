//! Labelled transactions, as `weir screen`, `weir calibrate`, `weir render` and training read them.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    hash::{BuildHasher, RandomState},
    io::Write,
};

use domain::{TransactionId, TruthLabel};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{error::ExportError, json::one_line};

/// How many lines wait to be put into event order. The ledger has them in the order of recording,
/// which is nearly that.
const WINDOW: usize = 10_000;

/// One transaction with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingLine {
    /// Names it.
    pub transaction_id: TransactionId,
    /// When it happened.
    pub event_time: Timestamp,
    /// Its JSON, as `POST /v1/screen` takes it.
    pub transaction: String,
    /// The truth, and when it became known; `None` for a transaction that only counts towards
    /// velocity.
    pub label: Option<(TruthLabel, Option<Timestamp>)>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrainingSummary {
    /// Lines.
    pub lines: u64,
    /// Of those, frauds.
    pub frauds: u64,
    /// Of those, legitimate ones.
    pub legitimate: u64,
    /// Transactions that came again and were left out: a transaction counts once.
    pub repeated: u64,
    /// Lines that came so late that they stand behind a later event. Velocity takes them as they
    /// stand.
    pub out_of_order: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    transaction: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<TruthLabel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_at: Option<Timestamp>,
}

/// Writes `{"transaction", "label", "label_at"}` lines in event order, each transaction once.
///
/// Holds a window of lines, and eight bytes for each transaction.
pub struct TrainingWriter<W: Write> {
    out: W,
    window: usize,
    waiting: BinaryHeap<Reverse<(Timestamp, u64, String)>>,
    hasher: RandomState,
    seen: HashSet<u64>,
    written_until: Timestamp,
    arrived: u64,
    summary: TrainingSummary,
}

impl<W: Write> TrainingWriter<W> {
    /// Writes nothing yet.
    pub fn new(out: W) -> Self {
        Self::with_window(out, WINDOW)
    }

    fn with_window(out: W, window: usize) -> Self {
        Self {
            out,
            window,
            waiting: BinaryHeap::new(),
            hasher: RandomState::new(),
            seen: HashSet::new(),
            written_until: Timestamp::MIN,
            arrived: 0,
            summary: TrainingSummary::default(),
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When the output fails or the transaction is not JSON.
    pub fn write(&mut self, line: &TrainingLine) -> Result<(), ExportError> {
        // Two of ten million transactions share 64 bits with a probability of about 3e-6.
        if !self.seen.insert(self.hasher.hash_one(line.transaction_id.as_str())) {
            self.summary.repeated += 1;
            return Ok(());
        }
        let transaction = one_line(&line.transaction).map_err(|error| ExportError::NotJson {
            what: "the transaction",
            decision: line.transaction_id.to_string(),
            detail: error.to_string(),
        })?;
        let (label, label_at) = line.label.map_or((None, None), |(label, at)| (Some(label), at));
        match label {
            Some(TruthLabel::Fraud) => self.summary.frauds += 1,
            Some(TruthLabel::Legitimate) => self.summary.legitimate += 1,
            None => {}
        }
        let text = serde_json::to_string(&Line { transaction: &transaction, label, label_at })?;
        self.waiting.push(Reverse((line.event_time, self.arrived, text)));
        self.arrived += 1;
        if self.waiting.len() > self.window { self.write_first() } else { Ok(()) }
    }

    /// Writes what waits, flushes, and says what was written.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(mut self) -> Result<(W, TrainingSummary), ExportError> {
        while !self.waiting.is_empty() {
            self.write_first()?;
        }
        self.out.flush()?;
        Ok((self.out, self.summary))
    }

    fn write_first(&mut self) -> Result<(), ExportError> {
        let Some(Reverse((time, _, text))) = self.waiting.pop() else { return Ok(()) };
        self.summary.out_of_order += u64::from(time < self.written_until);
        self.written_until = self.written_until.max(time);
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")?;
        self.summary.lines += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, second: i64, label: Option<TruthLabel>) -> TrainingLine {
        TrainingLine {
            transaction_id: id.parse().unwrap(),
            event_time: Timestamp::from_second(second).unwrap(),
            transaction: format!("{{\n \"id\": \"{id}\"}}"),
            label: label.map(|label| (label, Timestamp::from_second(99).ok())),
        }
    }

    fn written(window: usize, lines: &[TrainingLine]) -> (Vec<String>, TrainingSummary) {
        let mut writer = TrainingWriter::with_window(Vec::new(), window);
        for line in lines {
            writer.write(line).unwrap();
        }
        let (out, summary) = writer.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        (text.lines().map(str::to_owned).collect(), summary)
    }

    #[test]
    fn a_line_looks_like_those_of_the_sample_files() {
        let (lines, _) = written(9, &[line("a", 1, Some(TruthLabel::Fraud)), line("b", 2, None)]);
        assert_eq!(
            lines,
            [
                r#"{"transaction":{  "id": "a"},"label":"fraud","label_at":"1970-01-01T00:01:39Z"}"#,
                r#"{"transaction":{  "id": "b"}}"#,
            ]
        );
    }

    #[test]
    fn lines_are_put_into_event_order_as_far_as_the_window_reaches() {
        let order = |window| {
            let lines = [3, 1, 2, 9, 8, 0].map(|second| line(&second.to_string(), second, None));
            let (lines, summary) = written(window, &lines);
            let ids: String = lines.iter().filter_map(|line| line.split('"').nth(5)).collect();
            (ids, summary.out_of_order)
        };
        assert_eq!(order(9), ("012389".into(), 0));
        assert_eq!(order(2), ("123089".into(), 1));
    }

    #[test]
    fn a_transaction_that_comes_again_is_left_out_and_counted() {
        let fraud = Some(TruthLabel::Fraud);
        let (lines, summary) = written(9, &[line("a", 1, fraud), line("a", 2, None)]);
        assert_eq!(lines.len(), 1);
        let expected = TrainingSummary { lines: 1, frauds: 1, repeated: 1, ..Default::default() };
        assert_eq!(summary, expected);
    }
}
