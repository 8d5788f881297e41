//! Weir as anyone would start it, with tier 2 switched off.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{http::Subject, process::Server, settings::Settings, texts::Text};

/// What differs from the default settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tuning {
    /// `screening.workers`.
    pub workers: Option<usize>,
    /// `screening.max_queue_depth` and `http.max_in_flight`.
    pub queue: Option<usize>,
}

/// Starts Weir on a package and answers how long it took to be ready.
///
/// # Errors
/// When it cannot be started or does not get ready.
pub async fn start(
    settings: &Settings,
    client: &reqwest::Client,
    name: &str,
    package: &Path,
    tuning: Tuning,
) -> anyhow::Result<(Server, Duration)> {
    let mut server = Server::start(name, |port, folder| {
        let mut command = Command::new(&settings.weir);
        command
            .arg("serve")
            .env("WEIR_ANALYSIS__ENABLED", "false")
            .env("WEIR_LISTEN", format!("127.0.0.1:{port}"))
            .env("WEIR_DATA_DIR", folder)
            .env("WEIR_SCREENING__PACKAGE", package);
        if let Some(workers) = tuning.workers {
            command.env("WEIR_SCREENING__WORKERS", workers.to_string());
        }
        if let Some(queue) = tuning.queue {
            command.env("WEIR_SCREENING__MAX_QUEUE_DEPTH", queue.to_string());
            command.env("WEIR_HTTP__MAX_IN_FLIGHT", (2 * queue).to_string());
        }
        command
    })?;
    let request = client.get(format!("{}/readyz", server.base));
    let took = server.wait(request).await?;
    Ok((server, took))
}

/// Counts the history, so that the server renders the texts that were rendered here.
///
/// # Errors
/// When the server does not take it.
pub async fn backfill(
    client: &reqwest::Client,
    server: &Server,
    history: &Path,
) -> anyhow::Result<()> {
    let request = client
        .post(format!("{}/v1/events", server.base))
        .header("content-type", "application/x-ndjson")
        .body(std::fs::read(history)?);
    request.send().await?.error_for_status()?;
    Ok(())
}

/// How requests are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asking {
    /// Decisions are recorded and velocity moves.
    pub recorded: bool,
    /// `deadline_ms`.
    pub deadline: Option<Duration>,
}

/// Requests to Weir for every text.
#[must_use]
pub fn subject(
    server: &Server,
    texts: &[Text],
    references: &Arc<[f64]>,
    asking: Asking,
) -> Subject {
    let deadline = asking
        .deadline
        .map(|at| format!(r#","deadline_ms":{}"#, at.as_millis()))
        .unwrap_or_default();
    let dry_run = !asking.recorded;
    let body = |text: &Text| {
        let transaction = &text.transaction;
        format!(r#"{{"transaction":{transaction},"dry_run":{dry_run}{deadline}}}"#)
    };
    Subject {
        name: server.name.clone(),
        url: format!("{}/v1/screen", server.base),
        bodies: texts.iter().map(|text| Bytes::from(body(text))).collect(),
        references: Arc::clone(references),
        score_after: r#""screening":{"score":"#,
        // Velocity moves with recorded decisions, and scores with it.
        checked: dry_run,
        deadline: asking.deadline,
    }
}
