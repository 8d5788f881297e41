//! `GET /v1/shadow`: how the shadow policy and the shadow package compare with the live ones.

use axum::{extract::State, response::Response};
use ledger::{NoteKind, PageRequest};
use screening::{Compared, Comparison, ShadowRecord};
use serde::Serialize;

use super::{decisions::instant, json_text, query::Parameters};
use crate::{
    api_error::{ApiError, Problem},
    openapi::ShadowReport,
    state::AppState,
};

/// Most shadows that one report counts, the latest.
const COUNTED_MAX: usize = 100_000;
const PAGE: usize = 1000;

#[derive(Serialize, Default)]
struct Report {
    /// Shadows counted.
    shadows: usize,
    /// Whether there were more.
    truncated: bool,
    policy: Option<Comparison>,
    screening: Option<ScreeningComparison>,
}

#[derive(Serialize, Default)]
struct ScreeningComparison {
    #[serde(flatten)]
    comparison: Comparison,
    /// Mean of the shadow's score less the live one's.
    mean_difference: f64,
    /// The largest difference either way.
    max_difference: f64,
}

/// Compare what the shadows would have done with what was decided.
#[utoipa::path(
    get,
    path = "/v1/shadow",
    tag = "operations",
    params(("since" = Option<String>, Query, description = "Only shadows recorded at or after this RFC 3339 time")),
    responses(
        (status = 200, description = "From what to what, and how often", body = ShadowReport),
        (status = 400, description = "Invalid parameters", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn shadow(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Response, ApiError> {
    let since = parameters.optional_with("since", instant);
    parameters.close()?;
    let mut report = Report::default();
    let mut cursor = None;
    loop {
        let page = state
            .ledger
            .notes_since(NoteKind::Shadow, since, PageRequest { cursor, limit: PAGE })
            .await?;
        for note in &page.items {
            if let Ok(record) = serde_json::from_str(&note.record) {
                report.add(&record);
            }
        }
        cursor = page.next;
        report.truncated = cursor.is_some() && report.shadows >= COUNTED_MAX;
        if cursor.is_none() || report.truncated {
            break;
        }
    }
    if let Some(screening) = &mut report.screening {
        screening.mean_difference /= screening.comparison.total().max(1) as f64;
    }
    serde_json::to_string(&report).map(json_text).map_err(|_| ApiError::Internal)
}

impl Report {
    fn add(&mut self, record: &ShadowRecord) {
        self.shadows += 1;
        let compared = |to| Compared {
            from: record.outcome,
            escalated: record.escalated,
            to,
            amount: record.amount,
            truth: None,
        };
        if let Some(tried) = &record.policy {
            self.policy.get_or_insert_default().add(&compared(tried.projection));
        }
        if let Some(tried) = &record.screening {
            let screening = self.screening.get_or_insert_default();
            screening.comparison.add(&compared(tried.projection));
            let difference = tried.score.value() - record.score.value();
            screening.mean_difference += difference;
            screening.max_difference = screening.max_difference.max(difference.abs());
        }
    }
}
