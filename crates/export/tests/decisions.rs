//! Decisions written in both formats and read back.

#![allow(clippy::unwrap_used)]

mod common;

use bytes::Bytes;
use common::{erased, full};
use export::{DecisionRow, DecisionWriter, ExportError, Format};
use parquet::{
    basic::{LogicalType, Repetition, TimeUnit},
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use serde_json::{Value, json};

fn written(format: Format, rows: impl IntoIterator<Item = DecisionRow>) -> Vec<u8> {
    let mut writer = DecisionWriter::new(format, Vec::new()).unwrap();
    rows.into_iter().for_each(|row| writer.write(row).unwrap());
    writer.finish().unwrap()
}

fn lines(rows: Vec<DecisionRow>) -> Vec<Value> {
    let text = String::from_utf8(written(Format::Ndjson, rows)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn parquet(rows: impl IntoIterator<Item = DecisionRow>) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(written(Format::Parquet, rows))).unwrap()
}

fn cells(row: &Row) -> Vec<(String, Field)> {
    row.get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()
}

#[test]
fn a_line_has_every_column_and_holds_the_record_as_json() {
    let lines = lines(vec![full(7)]);
    let expected = json!({
        "decision_id": "00000000-0000-0000-0000-000000000007",
        "transaction_id": "tx-7",
        "account_id": "acc-Ü",
        "event_time": "2026-05-28T20:26:40.123463Z",
        "decided_at": "2026-05-28T20:26:40.123463Z",
        "outcome": "review",
        "status": "final",
        "decided_by": "analysis",
        "score": 0.875,
        "screening_score": 0.5,
        "analysis_score": 0.875,
        "analysis_verdict": "suspicious",
        "degraded": null,
        "policy_version": "2026-11",
        "policy_sha256": "cd".repeat(32),
        "screening_package": "screening",
        "screening_package_version": "1.2.0",
        "screening_package_sha256": "ab".repeat(32),
        "analysis_package": "analysis",
        "analysis_package_version": "1.2.0",
        "analysis_package_sha256": "ab".repeat(32),
        "label": "fraud",
        "label_source": "chargeback",
        "label_effective_at": "2026-05-28T20:26:40.123463Z",
        "erased": false,
        "record": { "number": 7 },
        "response": { "outcome": "review" },
    });
    assert_eq!(lines[0], expected);
}

#[test]
fn an_erased_decision_has_the_same_columns_without_what_was_personal() {
    let lines = lines(vec![full(1), erased(2)]);
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&lines[0]), keys(&lines[1]));
    assert_eq!(lines[1]["account_id"], Value::Null);
    assert_eq!(lines[1]["record"], Value::Null);
    assert_eq!(lines[1]["erased"], true);
    assert_eq!(lines[1]["degraded"], "analysis_late");
}

#[test]
fn a_record_that_is_no_json_is_an_error_that_names_the_decision() {
    let mut writer = DecisionWriter::new(Format::Ndjson, Vec::new()).unwrap();
    let row = DecisionRow { record: Some("{".into()), ..full(3) };
    let error = writer.write(row).unwrap_err();
    assert!(matches!(&error, ExportError::NotJson { .. }));
    let text = error.to_string();
    assert!(text.contains("record") && text.contains("0003"), "{text}");
}

#[test]
fn parquet_holds_what_ndjson_holds() {
    let rows = vec![full(1), erased(2), full(3)];
    let lines = lines(rows.clone());
    let file = parquet(rows);
    for (row, line) in file.get_row_iter(None).unwrap().zip(&lines) {
        let cells = cells(&row.unwrap());
        let names: Vec<&str> = cells.iter().map(|(name, _)| name.as_str()).collect();
        let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, keys);
        for (name, field) in cells {
            assert_same(&name, &field, &line[&name]);
        }
    }
    assert_eq!(file.metadata().file_metadata().num_rows(), 3);
}

fn assert_same(name: &str, field: &Field, json: &Value) {
    #[allow(clippy::wildcard_enum_match_arm)]
    match field {
        Field::Null => assert_eq!(*json, Value::Null, "{name}"),
        Field::Bool(value) => assert_eq!(*json, json!(value), "{name}"),
        Field::Double(value) => assert_eq!(*json, json!(value), "{name}"),
        Field::TimestampMicros(value) => {
            let time = jiff::Timestamp::from_microsecond(*value).unwrap();
            assert_eq!(*json, json!(time), "{name}");
        }
        Field::Str(text) if json.is_object() => {
            assert_eq!(serde_json::from_str::<Value>(text).unwrap(), *json, "{name}");
        }
        Field::Str(text) => assert_eq!(*json, json!(text), "{name}"),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn parquet_says_what_its_columns_are() {
    let file = parquet([full(1)]);
    let schema = file.metadata().file_metadata().schema_descr();
    let column = |name: &str| {
        let all = schema.columns().iter();
        let column = all.into_iter().find(|column| column.name() == name).unwrap();
        let info = column.self_type().get_basic_info();
        (info.logical_type_ref().cloned(), info.repetition())
    };
    let micros = Some(LogicalType::timestamp(true, TimeUnit::MICROS));
    assert_eq!(column("event_time"), (micros.clone(), Repetition::REQUIRED));
    assert_eq!(column("label_effective_at"), (micros, Repetition::OPTIONAL));
    assert_eq!(column("account_id"), (Some(LogicalType::String), Repetition::OPTIONAL));
    assert_eq!(column("outcome"), (Some(LogicalType::String), Repetition::REQUIRED));
    assert_eq!(column("score"), (None, Repetition::REQUIRED));
}

#[test]
fn row_groups_are_bounded_by_rows() {
    let file = parquet((0..25_001).map(erased));
    let groups = file.metadata().row_groups();
    let sizes: Vec<i64> = groups.iter().map(|group| group.num_rows()).collect();
    assert_eq!(sizes, [10_000, 10_000, 5_001]);
}

#[test]
fn row_groups_are_bounded_by_bytes() {
    let record = format!("\"{}\"", "x".repeat(1 << 20));
    let rows = (0..70).map(|number| DecisionRow { record: Some(record.clone()), ..full(number) });
    let file = parquet(rows);
    let groups = file.metadata().row_groups();
    assert!(groups.len() >= 3, "{} groups", groups.len());
    assert!(groups.iter().all(|group| group.num_rows() <= 32));
}

#[test]
fn a_file_without_decisions_can_be_read() {
    assert_eq!(parquet([]).metadata().file_metadata().num_rows(), 0);
    assert!(written(Format::Ndjson, []).is_empty());
}

#[test]
fn an_output_that_fails_is_an_error_of_the_output() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for format in [Format::Ndjson, Format::Parquet] {
        let result = DecisionWriter::new(format, Closed).and_then(|mut writer| {
            writer.write(full(1))?;
            writer.finish().map(|_| ())
        });
        let Err(ExportError::Io(error)) = result else { panic!("{format:?}: {result:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{format:?}");
    }
}
