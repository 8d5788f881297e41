//! `POST /v1/events`: a backfill that only warms velocity.

use axum::{Json, extract::State};
use domain::{Transaction, Violation};
use ledger::NewEvent;

use super::parse_context;
use crate::{
    api_error::{ApiError, Problem},
    http_metrics::EventResult,
    ndjson::{Line, Lines},
    openapi::{Backfill, BackfillError},
    screening_request::parse_event,
    state::{AppState, Shared},
    strict_json,
};

/// How many events are recorded together.
const GROUP_MAX: usize = 256;
/// How many bad lines are described.
const ERRORS_MAX: usize = 10;

/// Count past transactions without deciding them.
///
/// Each line is a transaction or `{"transaction": ...}`; the members `label`, `label_at`,
/// `typology` and `scenario` of labelled samples are ignored: labels go to `/v1/labels`. Sending
/// a transaction again changes nothing, so a backfill that broke off can be sent again whole.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "How many lines were counted, and what was wrong with the others", body = Backfill),
        (status = 400, description = "The body broke off", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not NDJSON", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests at once; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not ready, draining, or the ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn events(
    State(state): State<AppState>,
    mut lines: Lines,
) -> Result<Json<Backfill>, ApiError> {
    let mut backfill = Backfill::default();
    let mut group = Vec::with_capacity(GROUP_MAX);
    while let Some(line) = lines.next().await {
        let number = line.number;
        match parse_line(line) {
            Ok(transaction) => group.push(transaction),
            // A bad line is the caller's to mend; a broken body ends everything.
            Err(
                error @ (ApiError::Malformed(_) | ApiError::Invalid(_) | ApiError::TooLarge(_)),
            ) => {
                reject(&state, &mut backfill, number, error);
            }
            Err(error) => return Err(error),
        }
        if group.len() == GROUP_MAX {
            count(&state, &mut backfill, std::mem::take(&mut group)).await?;
        }
    }
    count(&state, &mut backfill, group).await?;
    Ok(Json(backfill))
}

fn parse_line(line: Line) -> Result<Transaction, ApiError> {
    let value = strict_json::parse(&line.content?)
        .map_err(|detail| ApiError::Malformed(format!("the line {detail}")))?;
    Ok(parse_event(&value, &parse_context())?)
}

fn reject(state: &Shared, backfill: &mut Backfill, line: u64, error: ApiError) {
    state.metrics.events(EventResult::Rejected, 1);
    backfill.rejected += 1;
    if backfill.errors.len() < ERRORS_MAX {
        let (detail, errors): (String, Vec<Violation>) = error.problem().into_parts();
        backfill.errors.push(BackfillError { line, detail, errors });
    }
}

/// The ledger first: what velocity counts must survive a restart.
async fn count(
    state: &Shared,
    backfill: &mut Backfill,
    group: Vec<Transaction>,
) -> Result<(), ApiError> {
    let events: Vec<NewEvent> = group.iter().map(new_event).collect::<Result<_, _>>()?;
    state.ledger.append_events(events).await?;
    for transaction in &group {
        state.screener.velocity().observe(transaction);
    }
    let counted = group.len() as u64;
    backfill.accepted += counted;
    state.metrics.events(EventResult::Accepted, counted);
    Ok(())
}

fn new_event(transaction: &Transaction) -> Result<NewEvent, ApiError> {
    Ok(NewEvent {
        transaction_id: transaction.id.clone(),
        account_id: transaction.account.id.clone(),
        event_time: transaction.timestamp,
        record: serde_json::to_string(transaction).map_err(|_| ApiError::Internal)?,
    })
}
