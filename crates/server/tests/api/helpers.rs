//! Starts the service in-process on a port of the system's choice.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{PackageRef, Score, Verdict};
use ledger::Ledger;
use package::Template;
use policy::Policy;
use prometheus::Registry;
use reqwest::{Client, RequestBuilder, Response};
use screening::{
    Analysing, AnalysisModel, Basis, Case, Judgement, ModelTimings, Place, PolicyDesk, Priority,
    Renderer, Scored, Screener, ScreenerParts, ScreeningMetrics, ScreeningModel, TierError,
    Unobserved, Written,
};
use serde_json::{Value, json};
use server::settings::PolicyFile;
use server::{Announcements, App, AppParts, DriftMonitor, Settings, StopError};
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use velocity::VelocityStore;
use webhooks::Dispatcher;

/// A policy of the tests' own: the shipped thresholds follow the shipped models.
pub(crate) const POLICY: &str = r#"
version = "test-1"
[thresholds]
escalate = 0.1
decline = 0.95
[analysis]
challenge = 0.15
review = 0.35
decline = 0.80
may_lower_below = 0.60
[fallback]
outcome = "review"
"#;

/// What a stub does with the next texts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Behaviour {
    /// Answers at once: doubtful from 1000 on.
    Answer,
    /// Waits until released.
    Wait,
    /// Never answers, not even at the deadline.
    Hang,
    Overloaded,
    Fail,
    Panic,
}

/// A tier without a model.
pub(crate) struct Stub {
    package: PackageRef,
    behaviour: Mutex<Behaviour>,
    pub(crate) released: Notify,
    pub(crate) calls: AtomicU64,
    pub(crate) seen: Mutex<Vec<String>>,
}

impl Stub {
    fn new(name: &str) -> Arc<Self> {
        let package =
            PackageRef { name: name.into(), version: "1.2.3".into(), sha256: "ab".repeat(32) };
        Arc::new(Self {
            package,
            behaviour: Mutex::new(Behaviour::Answer),
            released: Notify::new(),
            calls: AtomicU64::new(0),
            seen: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    async fn act(&self, text: &str) -> Result<(), TierError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push(text.to_owned());
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Answer => Ok(()),
            Behaviour::Wait => {
                self.released.notified().await;
                Ok(())
            }
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Overloaded => {
                Err(TierError::Overloaded { retry_after: Duration::from_millis(1500) })
            }
            Behaviour::Fail => Err(TierError::Failed("card 4111111111111111 broke it".into())),
            Behaviour::Panic => panic!("stub"),
        }
    }

    /// Waits until the stub has been called this often.
    pub(crate) async fn called(&self, times: u64) {
        while self.calls.load(Ordering::SeqCst) < times {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl ScreeningModel for Stub {
    fn package(&self) -> &PackageRef {
        &self.package
    }

    fn reserve(&self, _: Priority, _: Instant) -> Result<Box<dyn Place + '_>, TierError> {
        Ok(Box::new(StubPlace(self)))
    }
}

struct StubPlace<'a>(&'a Stub);

#[async_trait]
impl Place for StubPlace<'_> {
    async fn score(self: Box<Self>, text: &str) -> Result<Scored, TierError> {
        self.0.act(text).await?;
        let amount: f64 = text.split_whitespace().last().unwrap().parse().unwrap();
        let score = Score::new(if amount >= 1000.0 { 0.5 } else { 0.01 }).unwrap();
        Ok(Scored { score, timings: ModelTimings::default() })
    }
}

#[async_trait]
impl AnalysisModel for Stub {
    fn package(&self) -> &PackageRef {
        &self.package
    }

    async fn analyse(&self, case: Case) -> Result<Analysing, TierError> {
        self.act(&case.prompt).await?;
        let text = json!({
            "verdict": "fraud", "typology": "mule_account", "reasons": ["NIGHT_TIME"],
            "action": "decline", "narrative": "Passed on at once.",
        });
        let score = Score::new(0.9).unwrap();
        let timings = ModelTimings::default();
        let basis = Basis::Calibrated;
        let verdict = Verdict::Fraud;
        let judgement = Judgement { verdict, score, basis, prompt_tokens: None, timings };
        let written = Written { text: text.to_string(), ..Written::default() };
        Ok(Analysing::complete(judgement, written))
    }
}

/// A running service.
pub(crate) struct TestApp {
    pub(crate) address: String,
    pub(crate) client: Client,
    pub(crate) ledger: Ledger,
    pub(crate) tier1: Arc<Stub>,
    pub(crate) tier2: Arc<Stub>,
    pub(crate) folder: TempDir,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), StopError>>,
}

pub(crate) fn settings(folder: &TempDir) -> Settings {
    let policy = folder.path().join("policy.toml");
    if !policy.exists() {
        std::fs::write(&policy, POLICY).unwrap();
    }
    let policy = PolicyFile { file: Some(policy), reload_ms: 100, ..PolicyFile::default() };
    Settings {
        listen: "127.0.0.1:0".into(),
        data_dir: folder.path().to_owned(),
        policy,
        ..Settings::default()
    }
}

pub(crate) async fn spawn() -> TestApp {
    spawn_with(|_| {}).await
}

/// Starts the service and waits until it is ready.
pub(crate) async fn spawn_with(adjust: impl FnOnce(&mut Settings)) -> TestApp {
    let app = spawn_in(TempDir::new().unwrap(), adjust).await;
    while app.get("/readyz").await.status() != 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    app
}

/// Starts the service on an existing folder.
pub(crate) async fn spawn_in(folder: TempDir, adjust: impl FnOnce(&mut Settings)) -> TestApp {
    let mut settings = settings(&folder);
    adjust(&mut settings);
    let registry = Registry::new();
    let (tier1, tier2) = (Stub::new("stub-screening"), Stub::new("stub-analysis"));
    let ledger = Ledger::open(settings.ledger_config().unwrap(), &registry).await.unwrap();
    let velocity = VelocityStore::new(settings.velocity_config(), &registry).unwrap();
    let batching = batching::BatchingMetrics::register(&registry).unwrap();
    let _ = (batching.tier("screening"), batching.tier("analysis"));
    let input = Template::compile("memo {{ transaction.memo }} count {{ velocity.account.d30.count }} frauds {{ velocity.account.confirmed_fraud.total }} amount {{ derived.amount }}").unwrap();
    let prompt =
        Template::compile("case {{ transaction.memo }} {{ transaction.counterparty.name }}")
            .unwrap();
    let endpoints = settings.webhooks.endpoints().unwrap();
    let webhooks =
        Dispatcher::new(endpoints.clone(), settings.webhooks.config(), &registry).unwrap();
    let announcements = Announcements::new(endpoints, webhooks.nudge());
    let policy = Policy::parse(&settings.policy_document().unwrap()).unwrap();
    let screener = Screener::new(ScreenerParts {
        velocity: Arc::new(velocity),
        renderer: Renderer::new(input, Some(prompt)),
        screening: tier1.clone(),
        analysis: Some(tier2.clone()),
        policies: Arc::new(PolicyDesk::new(Arc::new(policy))),
        ledger: Some(ledger.clone()),
        metrics: ScreeningMetrics::register(&registry).unwrap(),
        options: settings.analysis_options(),
        on_ledger_failure: settings.on_ledger_failure(),
        announcer: Arc::new(announcements),
        shadow: None,
        observer: Arc::new(Unobserved),
    });
    let parts = AppParts {
        screener: Arc::new(screener),
        ledger: ledger.clone(),
        screening_package: tier1.package.clone(),
        analysis_package: Some(tier2.package.clone()),
        drift: Arc::new(DriftMonitor::new(None, &registry).unwrap()),
        webhooks,
        registry,
    };
    let app = App::build(&settings, parts).await.unwrap();
    let address = format!("http://{}", app.local_addr());
    let stop = CancellationToken::new();
    let running = start(app, stop.clone());
    TestApp { address, client: Client::new(), ledger, tier1, tier2, folder, stop, running }
}

#[allow(clippy::disallowed_methods, reason = "tests wait for the handle")]
fn start(app: App, stop: CancellationToken) -> JoinHandle<Result<(), StopError>> {
    tokio::spawn(app.run_until_stopped(async move { stop.cancelled().await }))
}

impl TestApp {
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.address)).send().await.unwrap()
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.address))
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Response {
        self.post(path).json(body).send().await.unwrap()
    }

    pub(crate) async fn post_ndjson(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.post(path).header("content-type", "application/x-ndjson");
        request.body(body).send().await.unwrap()
    }

    pub(crate) async fn screen(&self, transaction: Value) -> Response {
        self.post_json("/v1/screen", &json!({ "transaction": transaction })).await
    }

    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").await.text().await.unwrap()
    }

    /// How many decisions are recorded.
    pub(crate) async fn decisions(&self) -> usize {
        self.ledger.decisions(ledger::DecisionFilter::default()).await.unwrap().items.len()
    }

    /// Stops the service and answers how it ended.
    pub(crate) async fn stop(self) -> (Result<(), StopError>, TempDir) {
        self.stop.cancel();
        (self.running.await.unwrap(), self.folder)
    }
}

/// A small payment that tier 1 clears.
pub(crate) fn transaction(id: &str) -> Value {
    json!({
        "id": id, "timestamp": "2026-03-01T12:00:00Z", "amount": "12.34", "currency": "EUR",
        "account": {"id": "acc-1"}, "memo": "lunch",
        "counterparty": {"id": "shop-1", "name": "Corner Shop"},
    })
}

/// A payment that tier 1 escalates.
pub(crate) fn doubtful(id: &str) -> Value {
    let mut transaction = transaction(id);
    transaction["amount"] = json!("1500.00");
    transaction
}

/// The problem in an answer, which must be one.
pub(crate) async fn problem(response: Response) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let (status, id) = (response.status(), response.headers()["x-request-id"].clone());
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(problem["instance"], id.to_str().unwrap());
    assert!(problem["type"].as_str().unwrap().starts_with("/problems/"));
    assert!(!problem["title"].as_str().unwrap().is_empty());
    problem
}
