//! `GET /v1/webhooks/deliveries` and `POST /v1/webhooks/deliveries/{id}/revive`.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use domain::Violations;
use ledger::{Delivery, DeliveryState, PageRequest};
use uuid::Uuid;

use super::{decisions::limit, query::Parameters};
use crate::{
    api_error::{ApiError, Problem},
    openapi::{DeliveryPage, WebhookDelivery},
    state::AppState,
};

/// Messages that are not delivered: those that will be tried again, and those given up.
#[utoipa::path(
    get,
    path = "/v1/webhooks/deliveries",
    tag = "operations",
    params(
        ("state" = Option<String>, Query, description = "`pending`, or `dead` for those given up; `dead` unless told"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "How many, 1 to 1000; 100 unless told", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "A page, oldest first", body = DeliveryPage),
        (status = 400, description = "Invalid parameters", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn deliveries(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Json<DeliveryPage>, ApiError> {
    let wanted = parameters.optional_with("state", which).unwrap_or(DeliveryState::Dead);
    let cursor = parameters.optional("cursor");
    let limit = parameters.optional_with("limit", limit).unwrap_or(100);
    parameters.close()?;
    let page = state.ledger.deliveries(wanted, PageRequest { cursor, limit }).await?;
    Ok(Json(DeliveryPage {
        deliveries: page.items.into_iter().map(shown).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

fn which(text: &str) -> Result<DeliveryState, String> {
    match text {
        "pending" => Ok(DeliveryState::Pending),
        "dead" => Ok(DeliveryState::Dead),
        _ => Err("must be one of pending dead".into()),
    }
}

fn shown(delivery: Delivery) -> WebhookDelivery {
    WebhookDelivery {
        id: delivery.id,
        decision_id: delivery.decision_id,
        endpoint: delivery.endpoint,
        event: delivery.event,
        created_at: delivery.created_at,
        attempts: delivery.attempts,
        next_attempt_at: (!delivery.dead).then_some(delivery.next_attempt_at),
        last_error: delivery.last_error,
    }
}

/// Try a message again that was given up.
///
/// It keeps its `webhook-id`, and its attempts are counted anew.
#[utoipa::path(
    post,
    path = "/v1/webhooks/deliveries/{id}/revive",
    tag = "operations",
    params(
        ("id" = String, Path, description = "The delivery's UUID, which is its `webhook-id`"),
        ("Authorization" = String, Header, description = "`Bearer` and the key of an author that the settings name"),
    ),
    responses(
        (status = 202, description = "It will be tried at once"),
        (status = 400, description = "Not a UUID", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "No author has this key", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such delivery was given up", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn revive(
    State(state): State<AppState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.authors.identify(&headers)?;
    let id = Uuid::try_parse(&id).map_err(|_| {
        let mut violations = Violations::default();
        violations.add("/path/id", "must be a delivery's UUID");
        ApiError::BadParameters(violations)
    })?;
    if !state.ledger.revive(id).await? {
        return Err(ApiError::NotFound("no delivery of this id was given up".into()));
    }
    state.nudge.nudge_all();
    Ok(StatusCode::ACCEPTED)
}
