//! The service on the shipped tier 1 and an engine elsewhere.

use std::{sync::Arc, time::Duration};

use ledger::Ledger;
use policy::Policy;
use prometheus::Registry;
use reqwest::Client;
use screening::{PolicyDesk, Screener, ScreenerParts, ScreeningMetrics, Silence, Unobserved};
use serde_json::{Value, json};
use server::{
    App, AppParts, DriftMonitor, Settings, StopError,
    models::Models,
    settings::{AnalysisEngine, LateAnalysis},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use velocity::VelocityStore;
use webhooks::Dispatcher;

use crate::support;

/// Every transaction is escalated, and tier 2 decides.
const POLICY: &str = r#"
version = "test-1"
[thresholds]
escalate = 0.0
decline = 1.0
[analysis]
challenge = 0.15
review = 0.35
decline = 0.80
may_lower_below = 1.0
[fallback]
outcome = "review"
"#;

/// A running service.
pub(crate) struct Service {
    address: String,
    client: Client,
    models: Models,
    _folder: TempDir,
    stop: CancellationToken,
    running: JoinHandle<Result<(), StopError>>,
}

/// Settings with an engine at this address, impatient as tests are.
pub(crate) fn settings(url: &str) -> Settings {
    let mut settings = support::settings(true);
    settings.listen = "127.0.0.1:0".into();
    settings.screening.workers = 1;
    settings.screening.wide_threads = 1;
    settings.analysis.engine = AnalysisEngine::OpenAi;
    // What is promised would ask the engine again, at a moment of its own.
    settings.analysis.late = LateAnalysis::Fallback;
    settings.engine.url = Some(url.into());
    settings.engine.attempts = 2;
    settings.engine.breaker_minimum_calls = 1000;
    settings
}

impl Service {
    pub(crate) async fn start(url: &str) -> Self {
        Self::start_with(settings(url)).await
    }

    /// Starts the service as `weir serve` does, and waits until it is ready.
    pub(crate) async fn start_with(mut settings: Settings) -> Self {
        let folder = TempDir::new().unwrap();
        settings.data_dir = folder.path().to_owned();
        let policy = folder.path().join("policy.toml");
        std::fs::write(&policy, POLICY).unwrap();
        settings.policy.file = Some(policy);
        let registry = Registry::new();
        let models = Models::load(&settings, &registry).unwrap();
        models.introduced(Duration::from_secs(30)).await;
        let ledger = Ledger::open(settings.ledger_config().unwrap(), &registry).await.unwrap();
        let velocity = VelocityStore::new(settings.velocity_config(), &registry).unwrap();
        let screener = Screener::new(ScreenerParts {
            velocity: Arc::new(velocity),
            renderer: models.renderer.clone(),
            screening: Arc::clone(&models.screening),
            analysis: models.analysis.clone(),
            policies: Arc::new(PolicyDesk::new(Arc::new(Policy::parse(POLICY).unwrap()))),
            ledger: Some(ledger.clone()),
            metrics: ScreeningMetrics::register(&registry).unwrap(),
            options: settings.analysis_options(),
            on_ledger_failure: settings.on_ledger_failure(),
            announcer: Arc::new(Silence),
            shadow: None,
            observer: Arc::new(Unobserved),
        });
        let parts = AppParts {
            screener: Arc::new(screener),
            ledger,
            screening_package: models.screening.package().clone(),
            analysis_package: models.analysis.as_ref().map(|model| model.package().clone()),
            webhooks: Dispatcher::new(Vec::new(), settings.webhooks.config(), &registry).unwrap(),
            drift: Arc::new(DriftMonitor::new(None, &registry).unwrap()),
            registry,
        };
        let app = App::build(&settings, parts).await.unwrap();
        let address = format!("http://{}", app.local_addr());
        let stop = CancellationToken::new();
        let running = run(app, stop.clone());
        let client = Client::new();
        let service = Self { address, client, models, _folder: folder, stop, running };
        while service.get("/readyz").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        service
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The decision on a transaction with this id, which must come.
    pub(crate) async fn screen(&self, id: &str) -> Value {
        self.screen_within(id, 30_000).await
    }

    pub(crate) async fn screen_within(&self, id: &str, deadline_ms: u64) -> Value {
        let transaction = json!({
            "id": id.replace(' ', "-"), "timestamp": "2026-03-01T12:00:00Z", "amount": "12.34", "currency": "EUR",
            "type": "transfer", "channel": "web", "memo": "a secret lunch",
            "account": {"id": "acc-1", "country": "IT", "opened_at": "2023-12-21T09:40:31Z"},
            "counterparty": {
                "id": "shop-1", "name": "Corner Shop", "kind": "business", "country": "IT",
                "first_seen": "2024-05-31T14:44:19Z",
            },
        });
        let body = json!({ "transaction": transaction, "deadline_ms": deadline_ms });
        let request = self.client.post(format!("{}/v1/screen", self.address)).json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let decision: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{decision}");
        assert!(decision["screening"]["score"].is_number());
        decision
    }

    /// The value of a series, by its name with labels as `/metrics` writes it.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no series {series}")).parse().unwrap()
    }

    /// Stops the service, which must end well.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        tokio::task::spawn_blocking(move || self.models.shutdown()).await.unwrap();
    }
}

#[allow(clippy::disallowed_methods, reason = "tests wait for the handle")]
fn run(app: App, stop: CancellationToken) -> JoinHandle<Result<(), StopError>> {
    tokio::spawn(app.run_until_stopped(async move { stop.cancelled().await }))
}

/// Asserts that tier 1 and the policy's fallback decided, for this reason.
pub(crate) fn assert_fallback(decision: &Value, degraded: &str) {
    assert_eq!(decision["degraded"], degraded, "{decision}");
    assert_eq!(decision["decided_by"], "fallback", "{decision}");
    assert_eq!(decision["outcome"], "review", "{decision}");
}
