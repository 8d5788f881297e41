//! `POST /v1/labels` and `POST /v1/decisions/{id}/labels`.

use axum::{extract::State, response::Response};
use domain::{
    DecisionId, Label, ObjectReader, TransactionId, Violations,
    reader::{kind_of, parsed, string},
};
use jiff::{SignedDuration, Timestamp};
use ledger::NewLabel;
use serde_json::Value;

use super::{
    decisions::{DecisionPath, erased, no_such_decision},
    json_text,
};
use crate::{
    api_error::{ApiError, Problem},
    json_body::JsonBody,
    openapi::{RecordedLabel, TransactionLabel},
    state::{AppState, Shared},
    warming::{self, is_known},
};

/// How far ahead a label may take effect.
const FUTURE_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Label the transaction of a decision.
#[utoipa::path(
    post,
    path = "/v1/decisions/{id}/labels",
    tag = "labels",
    params(("id" = String, Path, description = "The decision's UUID")),
    request_body = Label,
    responses(
        (status = 200, description = "Recorded, and counted by velocity", body = RecordedLabel),
        (status = 400, description = "Malformed JSON, or not a UUID", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such decision", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Its content was erased", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Invalid", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn label_decision(
    State(state): State<AppState>,
    DecisionPath(id): DecisionPath,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let (label, _) = parse(&body, false)?;
    let decision = state.ledger.decision(id).await?.ok_or_else(no_such_decision)?;
    let content = decision.content.ok_or_else(erased)?;
    record(&state, content.transaction_id, Some(id), label).await
}

/// Label a transaction, decided or only observed.
#[utoipa::path(
    post,
    path = "/v1/labels",
    tag = "labels",
    request_body = TransactionLabel,
    responses(
        (status = 200, description = "Recorded, and counted by velocity", body = RecordedLabel),
        (status = 400, description = "Malformed JSON", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such transaction", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Invalid", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn label_transaction(
    State(state): State<AppState>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let (label, id) = parse(&body, true)?;
    let id = id.ok_or(ApiError::Internal)?;
    if !is_known(&state.ledger, state.screener.velocity(), &id, &label).await? {
        return Err(ApiError::NotFound(
            "no transaction of this id was screened or backfilled".into(),
        ));
    }
    record(&state, id, None, label).await
}

/// The ledger first: what velocity counts must survive a restart.
async fn record(
    state: &Shared,
    transaction_id: TransactionId,
    decision_id: Option<DecisionId>,
    label: Label,
) -> Result<Response, ApiError> {
    let recorded_at = Timestamp::now();
    let id = transaction_id.clone();
    state.ledger.append_label(NewLabel { transaction_id, decision_id, label, recorded_at }).await?;
    warming::apply_label(&state.ledger, state.screener.velocity(), &id, &label).await?;
    state.metrics.labelled(&label);
    let recorded = RecordedLabel { transaction_id: id, decision_id, label, recorded_at };
    serde_json::to_string(&recorded).map(json_text).map_err(|_| ApiError::Internal)
}

/// Reads a label and, where the path does not tell, its transaction.
pub(crate) fn parse(
    value: &Value,
    names_transaction: bool,
) -> Result<(Label, Option<TransactionId>), Violations> {
    let mut violations = Violations::default();
    let read = ObjectReader::open(value, "", &mut violations).and_then(|mut reader| {
        let id = names_transaction.then(|| reader.required("transaction_id", parsed));
        let label = reader.required("label", parsed);
        let source = reader.required("source", parsed);
        let effective_at = reader.required("effective_at", instant);
        let reversed = reader.optional("reversed", |value| {
            value.as_bool().ok_or_else(|| format!("must be true or false, not {}", kind_of(value)))
        });
        reader.close();
        let label = Label {
            label: label?,
            source: source?,
            effective_at: effective_at?,
            reversed: reversed.unwrap_or(false),
        };
        Some((label, id.flatten()))
    });
    violations.into_result()?;
    read.ok_or_else(Violations::default)
}

fn instant(value: &Value) -> Result<Timestamp, String> {
    let at: Timestamp = string(value)?
        .parse()
        .map_err(|_| "must be an RFC 3339 time such as \"2026-03-01T12:34:56Z\"".to_owned())?;
    plausible(at)
}

/// A time at which a label can take effect.
pub(crate) fn plausible(at: Timestamp) -> Result<Timestamp, String> {
    if at.as_second() < 0 {
        return Err("must not lie before 1970".into());
    }
    if at.duration_since(Timestamp::now()) > FUTURE_MAX {
        return Err("lies more than a year in the future".into());
    }
    Ok(at)
}
