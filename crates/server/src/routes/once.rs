//! One answer for each idempotency key, however often, from wherever and at whatever moment it is
//! asked for.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use domain::{DecisionStatus, Violations};
use ledger::{IdempotencyKey, Reservation, StoredDecision};
use screening::OnLedgerFailure;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::{json_text, screen};
use crate::{
    api_error::ApiError,
    idempotency::{IDEMPOTENT_REPLAYED, TRUE},
    screening_request::ScreeningRequest,
    state::AppState,
};

/// How often a request that waits for another looks again, where no one tells: the other may be
/// with another instance.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// When to come back for the answer to a request that is still under way.
const RETRY: Duration = Duration::from_secs(1);

/// Screens under a key, or gives the answer that the key has already.
pub(super) async fn once(
    state: AppState,
    request: ScreeningRequest,
    arrived: Instant,
) -> Result<Response, ApiError> {
    let Some(key) = request.key().cloned() else { return Err(ApiError::Internal) };
    let deadline = request.deadline(&state, arrived);
    loop {
        // Before looking, lest the news come between the look and the wait.
        let news = state.settled.notified();
        match reserve(&state, &key, deadline).await {
            Ok(Reservation::Reserved) => return run(state.clone(), request, key, arrived).await,
            Ok(Reservation::Answered(stored)) => return replay(&stored),
            Ok(Reservation::Mismatch) => return Err(mismatch()),
            Ok(Reservation::InFlight) => {}
            Err(NotReserved::DoWithout) => {
                let request = request.keyed(None);
                return Ok(screen::answer(request.screen(&state, arrived).await?));
            }
            Err(NotReserved::Failed(error)) => return Err(error),
        }
        let wait = async {
            tokio::select! {
                () = news => {}
                () = sleep(LOOK_AGAIN) => {}
            }
        };
        if timeout_at(deadline, wait).await.is_err() {
            return Err(ApiError::Conflict {
                detail: "a request of this idempotency key is still under way".into(),
                retry_after: Some(RETRY),
            });
        }
    }
}

enum NotReserved {
    /// The ledger fails, and the settings demand an answer all the same.
    DoWithout,
    Failed(ApiError),
}

/// A ledger that says nothing costs half of the time there is, where the answer is to come without
/// it, and all of it otherwise.
async fn reserve(
    state: &AppState,
    key: &IdempotencyKey,
    deadline: Instant,
) -> Result<Reservation, NotReserved> {
    let does_without = state.on_ledger_failure == OnLedgerFailure::Answer;
    if does_without && state.ledger.is_failing() {
        return Err(NotReserved::DoWithout);
    }
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    let by = if does_without { now + left / 2 } else { deadline };
    match timeout_at(by, state.ledger.reserve(key)).await {
        Ok(Ok(reservation)) => Ok(reservation),
        Ok(Err(error)) if state.answers_without_ledger(&error) => Err(NotReserved::DoWithout),
        Ok(Err(error)) => Err(NotReserved::Failed(error.into())),
        Err(_) if does_without => Err(NotReserved::DoWithout),
        Err(_) => Err(NotReserved::Failed(ApiError::Deadline)),
    }
}

/// Runs to its end whether or not the caller stays: what was paid for is there when the caller
/// asks again.
async fn run(
    state: AppState,
    request: ScreeningRequest,
    key: IdempotencyKey,
    arrived: Instant,
) -> Result<Response, ApiError> {
    let tracker = state.detached.clone();
    let task = tracker.spawn(async move {
        let screened = request.screen(&state, arrived).await;
        if screened.is_err()
            && let Err(error) = state.ledger.release(&key).await
        {
            // It comes free when its lease ends.
            tracing::warn!(%error, "an idempotency key could not be released");
        }
        state.settled.notify_waiters();
        screened
    });
    let screened = task.await.map_err(|_| ApiError::Internal)?;
    Ok(screen::answer(screened?))
}

fn replay(stored: &StoredDecision) -> Result<Response, ApiError> {
    #[derive(Deserialize)]
    struct First {
        status: DecisionStatus,
    }
    let Some(content) = &stored.content else {
        return Err(ApiError::Gone("what this key was answered with is erased".into()));
    };
    let response = &content.first_response;
    let first: First = serde_json::from_str(response).map_err(|_| ApiError::Internal)?;
    let mut response = (screen::status(first.status), json_text(response.clone())).into_response();
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, TRUE);
    Ok(response)
}

fn mismatch() -> ApiError {
    let mut violations = Violations::default();
    violations.add("/headers/idempotency-key", "was used with another body");
    ApiError::Invalid(violations)
}
