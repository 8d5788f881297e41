//! A file of labels, of either kind.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    vec,
};

use anyhow::{Context, bail};
use domain::{Label, LabelSource, TransactionId};
use export::label_studio::{ImportedLabel, ImportedLabels, import};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    routes::labels::{parse, plausible},
    strict_json,
};

/// The longest line read, in bytes.
const LINE_MAX: u64 = 64 << 10;

/// A label of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// Where it stands, for messages.
    pub(super) place: String,
    pub(super) transaction_id: TransactionId,
    pub(super) label: Label,
    /// Whether the file tells its time. If not, it counts from now on.
    pub(super) dated: bool,
}

/// Labels as they come.
pub(super) enum Input {
    /// Of annotators. Their votes are counted before the first label is given.
    Annotations { imported: Box<ImportedLabels>, left: vec::IntoIter<ImportedLabel>, fill: Fill },
    /// One JSON object a line.
    Lines(Lines),
}

/// What a file may leave out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fill {
    pub(super) source: LabelSource,
    pub(super) now: Timestamp,
}

impl Input {
    /// Opens a file, or the standard input for `-`, and finds out by its first character what it is.
    pub(super) fn open(path: &Path, fill: Fill) -> anyhow::Result<Self> {
        let shown = || path.display().to_string();
        let reader: Box<dyn BufRead> = if path.as_os_str() == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path).with_context(shown)?))
        };
        Self::read(reader, fill).with_context(shown)
    }

    fn read(mut reader: Box<dyn BufRead>, fill: Fill) -> anyhow::Result<Self> {
        let (first, number) = skip_space(&mut reader)?;
        match first {
            Some(b'[') => {
                let mut imported = Box::new(import(reader)?);
                let left = std::mem::take(&mut imported.labels).into_iter();
                Ok(Self::Annotations { imported, left, fill })
            }
            Some(b'{') => Ok(Self::Lines(Lines { reader, fill, number })),
            Some(_) => bail!("begins neither with [ (Label Studio) nor with {{ (lines of JSON)"),
            None => bail!("is empty"),
        }
    }

    /// The next label, or what is wrong with it; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<Given, String>>> {
        match self {
            Self::Annotations { left, fill, .. } => {
                Ok(left.next().map(|label| annotated(label, *fill)))
            }
            Self::Lines(lines) => lines.next(),
        }
    }
}

fn annotated(label: ImportedLabel, fill: Fill) -> Result<Given, String> {
    let ImportedLabel { transaction_id, label, effective_at, .. } = label;
    let place = format!("transaction {transaction_id}");
    let effective_at = match plausible(effective_at) {
        Ok(at) => to_microsecond(at),
        Err(detail) => return Err(format!("{place}: its time {detail}")),
    };
    let label = Label { label, source: fill.source, effective_at, reversed: false };
    Ok(Given { place, transaction_id, label, dated: true })
}

/// Lines such as the body of `POST /v1/labels`.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    fill: Fill,
    number: u64,
}

impl Lines {
    fn next(&mut self) -> io::Result<Option<Result<Given, String>>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = self.reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let place = format!("line {}", self.number);
            if read as u64 == LINE_MAX && line.last() != Some(&b'\n') {
                self.skip_line()?;
                return Ok(Some(Err(format!("{place}: is longer than {LINE_MAX} bytes"))));
            }
            if !line.trim_ascii().is_empty() {
                let given = self.parse(&line, place.clone());
                return Ok(Some(given.map_err(|detail| format!("{place}: {detail}"))));
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() || used == 0 {
                return Ok(());
            }
        }
    }

    fn parse(&self, line: &[u8], place: String) -> Result<Given, String> {
        let mut value = strict_json::parse(line)?;
        let mut dated = true;
        if let Some(object) = value.as_object_mut() {
            let absent = |found: Option<&Value>| found.is_none_or(Value::is_null);
            if absent(object.get("source")) {
                object.insert("source".into(), json!(self.fill.source));
            }
            if absent(object.get("effective_at")) {
                dated = false;
                object.insert("effective_at".into(), json!(self.fill.now));
            }
        }
        let (mut label, id) = parse(&value, true).map_err(|violations| violations.to_string())?;
        label.effective_at = to_microsecond(label.effective_at);
        Ok(Given { place, transaction_id: id.ok_or("has no transaction_id")?, label, dated })
    }
}

/// The time as the ledger keeps it, so that both can be compared.
fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// The first byte that is no white space, still to be read, and how many lines end before it. A byte
/// order mark is passed over.
fn skip_space(reader: &mut impl BufRead) -> io::Result<(Option<u8>, u64)> {
    const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
    let mut lines = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let Some(&byte) = buffer.first() else { return Ok((None, lines)) };
        let used = match byte {
            b'\n' => {
                lines += 1;
                1
            }
            byte if byte.is_ascii_whitespace() => 1,
            _ if buffer.starts_with(&MARK) => MARK.len(),
            byte => return Ok((Some(byte), lines)),
        };
        reader.consume(used);
    }
}

#[cfg(test)]
mod tests {
    use domain::TruthLabel;

    use super::*;

    const NOW: &str = "2026-11-25T12:00:00Z";

    fn all(text: impl Into<Vec<u8>>) -> anyhow::Result<Vec<Result<Given, String>>> {
        let reader: Box<dyn BufRead> = Box::new(io::Cursor::new(text.into()));
        let fill = Fill { source: LabelSource::Analyst, now: NOW.parse().unwrap() };
        let mut input = Input::read(reader, fill)?;
        let mut found = Vec::new();
        while let Some(given) = input.next()? {
            found.push(given);
        }
        Ok(found)
    }

    #[test]
    fn a_line_may_leave_out_who_says_so_and_since_when() {
        let found = all("\u{feff}\n{\"transaction_id\":\"t\",\"label\":\"fraud\"}\n\n\
             {\"transaction_id\":\"t\",\"label\":\"legitimate\",\"source\":\"customer\",\
             \"effective_at\":\"2026-11-01T00:00:00.1234567Z\",\"reversed\":true}");
        let [first, second] = &found.unwrap()[..] else { panic!("two lines") };
        let first = first.as_ref().unwrap();
        assert_eq!((first.place.as_str(), first.dated), ("line 2", false));
        assert_eq!(first.label.source, LabelSource::Analyst);
        assert_eq!(first.label.effective_at.to_string(), NOW);
        let second = second.as_ref().unwrap();
        let label = second.label;
        assert_eq!((second.place.as_str(), second.dated), ("line 4", true));
        assert_eq!((label.label, label.source), (TruthLabel::Legitimate, LabelSource::Customer));
        assert!(label.reversed);
        assert_eq!(label.effective_at.to_string(), "2026-11-01T00:00:00.123456Z");
    }

    #[test]
    fn what_is_no_label_is_told_with_its_line_and_the_rest_is_read() {
        let long = format!("{{\"transaction_id\":\"{}\"}}", "x".repeat(70_000));
        let text = format!(
            "{{\"transaction_id\":\"t\",\"label\":\"maybe\"}}\n{long}\n{{\n\
             {{\"transaction_id\":\"t\",\"label\":\"fraud\",\"lable\":1}}\n\
             {{\"label\":\"fraud\"}}\n\
             {{\"transaction_id\":\"t\",\"label\":\"fraud\",\"effective_at\":\"1950-01-01T00:00:00Z\"}}\n\
             {{\"transaction_id\":\"t\",\"label\":\"fraud\"}}\n"
        );
        let found = all(text).unwrap();
        let bad: Vec<&String> = found.iter().filter_map(|given| given.as_ref().err()).collect();
        let expected = [
            ("line 1: /label", "fraud legitimate"),
            ("line 2: ", "longer than 65536 bytes"),
            ("line 3: ", "not valid JSON"),
            ("line 4: /lable", "not a known field"),
            ("line 5: /transaction_id", "is required"),
            ("line 6: /effective_at", "before 1970"),
        ];
        assert_eq!(bad.len(), expected.len(), "{bad:?}");
        for (told, (start, part)) in bad.iter().zip(expected) {
            assert!(told.starts_with(start) && told.contains(part), "{told}");
        }
        assert_eq!(found.last().unwrap().as_ref().unwrap().place, "line 7");
    }

    #[test]
    fn annotations_are_told_by_their_bracket() {
        let item = |at: &str| {
            json!({ "data": { "transaction_id": "t" }, "annotations": [{
                "completed_by": 1, "updated_at": at, "result": [{ "from_name": "label",
                "type": "choices", "value": { "choices": ["fraud"] } }] }] })
        };
        let found = all(format!(" \n[{}]", item("2026-06-01T10:00:00Z"))).unwrap();
        let given = found[0].as_ref().unwrap();
        assert_eq!((given.transaction_id.as_str(), given.dated), ("t", true));
        let found = all(format!("[{}]", item("1950-06-01T10:00:00Z"))).unwrap();
        assert!(found[0].as_ref().unwrap_err().contains("before 1970"), "{found:?}");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for (text, part) in
            [("", "empty"), (" \n", "empty"), ("id,label\n", "neither"), ("[{", "not a")]
        {
            let error = format!("{:#}", all(text).unwrap_err());
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
