//! The columns of a decision: one table that both formats follow.

use std::borrow::Cow;

use domain::{PackageRef, Score};
use jiff::Timestamp;

use crate::row::DecisionRow;

/// How a column's value is taken from a row, and so what type it has.
pub(crate) enum Value {
    /// UTF-8.
    Text(for<'a> fn(&'a DecisionRow) -> Option<Cow<'a, str>>),
    /// JSON: embedded in NDJSON, a text in Parquet.
    Json(for<'a> fn(&'a DecisionRow) -> Option<&'a str>),
    /// Microseconds since 1970, UTC.
    Time(fn(&DecisionRow) -> Option<Timestamp>),
    /// A double.
    Number(fn(&DecisionRow) -> Option<f64>),
    /// True or false, never absent.
    Flag(fn(&DecisionRow) -> bool),
}

pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Never absent.
    pub(crate) required: bool,
    pub(crate) value: Value,
}

const fn always(name: &'static str, value: Value) -> Column {
    Column { name, required: true, value }
}

const fn sometimes(name: &'static str, value: Value) -> Column {
    Column { name, required: false, value }
}

use Value::{Flag, Json, Number, Text, Time};

/// In the order of the files. New columns are added at the end, and none changes its type.
pub(crate) const COLUMNS: [Column; 27] = [
    always("decision_id", Text(|row| Some(row.decision_id.to_string().into()))),
    sometimes("transaction_id", Text(|row| borrowed(row.transaction_id.as_ref()?.as_str()))),
    sometimes("account_id", Text(|row| borrowed(row.account_id.as_ref()?.as_str()))),
    always("event_time", Time(|row| Some(row.event_time))),
    always("decided_at", Time(|row| Some(row.decided_at))),
    always("outcome", Text(|row| borrowed(row.outcome.as_str()))),
    always("status", Text(|row| borrowed(row.status.as_str()))),
    always("decided_by", Text(|row| borrowed(row.decided_by.as_str()))),
    always("score", Number(|row| Some(row.score.value()))),
    sometimes("screening_score", Number(|row| row.screening_score.map(Score::value))),
    sometimes("analysis_score", Number(|row| row.analysis_score.map(Score::value))),
    sometimes("analysis_verdict", Text(|row| borrowed(row.analysis_verdict?.as_str()))),
    sometimes("degraded", Text(|row| borrowed(row.degraded?.as_str()))),
    sometimes("policy_version", Text(|row| optional(row.policy_version.as_ref()))),
    sometimes("policy_sha256", Text(|row| optional(row.policy_sha256.as_ref()))),
    sometimes("screening_package", Text(|row| optional(screening(row).map(|it| &it.name)))),
    sometimes(
        "screening_package_version",
        Text(|row| optional(screening(row).map(|it| &it.version))),
    ),
    sometimes(
        "screening_package_sha256",
        Text(|row| optional(screening(row).map(|it| &it.sha256))),
    ),
    sometimes("analysis_package", Text(|row| optional(analysis(row).map(|it| &it.name)))),
    sometimes(
        "analysis_package_version",
        Text(|row| optional(analysis(row).map(|it| &it.version))),
    ),
    sometimes("analysis_package_sha256", Text(|row| optional(analysis(row).map(|it| &it.sha256)))),
    sometimes("label", Text(|row| borrowed(row.label?.label.as_str()))),
    sometimes("label_source", Text(|row| borrowed(row.label?.source.as_str()))),
    sometimes("label_effective_at", Time(|row| Some(row.label?.effective_at))),
    always("erased", Flag(|row| row.erased)),
    sometimes("record", Json(|row| row.record.as_deref())),
    sometimes("response", Json(|row| row.response.as_deref())),
];

fn screening(row: &DecisionRow) -> Option<&PackageRef> {
    row.screening_package.as_ref()
}

fn analysis(row: &DecisionRow) -> Option<&PackageRef> {
    row.analysis_package.as_ref()
}

fn borrowed(text: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(text))
}

fn optional(text: Option<&String>) -> Option<Cow<'_, str>> {
    text.map(|text| Cow::Borrowed(text.as_str()))
}
