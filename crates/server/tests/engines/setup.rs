//! The shipped tier 1, a remote tier 2, and a policy under which every transaction is escalated.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use domain::{Decision, ParseContext, Transaction};
use ledger::Ledger;
use prometheus::{Registry, TextEncoder};
use screening::{
    AnalysisOptions, Narrative, Policy, Priority, ScreenOptions, Screener, ScreenerParts,
    ScreeningMetrics,
};
use serde_json::{Value, json};
use server::{Settings, models::Models, settings::EngineKind};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::Instant,
};
use velocity::VelocityStore;

use crate::stub::{Act, event, piece, stream_head};

pub(crate) struct Setup {
    pub(crate) screener: Screener,
    pub(crate) ledger: Ledger,
    registry: Registry,
    _models: Models,
    _folder: TempDir,
}

impl Setup {
    pub(crate) async fn start(url: &str, narrative: Narrative) -> Self {
        Self::named(url, narrative, None).await
    }

    pub(crate) async fn named(url: &str, narrative: Narrative, model: Option<&str>) -> Self {
        let mut settings = Settings::default();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        settings.screening.package = format!("{root}/models/screening").into();
        settings.analysis.package = format!("{root}/models/analysis").into();
        settings.analysis.engine = EngineKind::OpenAi;
        settings.engine.url = url.to_owned();
        settings.engine.model = model.map(str::to_owned);
        settings.engine.dialect = "generic".into();
        settings.engine.breaker_open_ms = 300;
        Self::with(&settings, narrative).await
    }

    pub(crate) async fn with(settings: &Settings, narrative: Narrative) -> Self {
        let registry = Registry::new();
        let models = Models::load(settings, &registry).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = ledger::Config { path: folder.path().join("l.sqlite"), ..Default::default() };
        let ledger = Ledger::open(config, &registry).await.unwrap();
        let policy = Policy::DEFAULT.replacen("escalate = 0.02", "escalate = 0.0", 1);
        let screener = Screener::new(ScreenerParts {
            velocity: Arc::new(VelocityStore::new(velocity::Config::default(), &registry).unwrap()),
            renderer: models.renderer.clone(),
            screening: Arc::clone(&models.screening),
            analysis: models.analysis.clone(),
            policy: Policy::parse(&policy).unwrap(),
            ledger: Some(ledger.clone()),
            metrics: ScreeningMetrics::register(&registry).unwrap(),
            options: AnalysisOptions { narrative, ..AnalysisOptions::default() },
        });
        Self { screener, ledger, registry, _models: models, _folder: folder }
    }

    /// The decision on an ordinary payment, within two seconds.
    pub(crate) async fn decide(&self, id: &str) -> Decision {
        let value = json!({
            "id": id, "timestamp": "2026-03-01T12:00:00Z", "amount": "12.50", "currency": "EUR",
            "account": { "id": "acc-1" },
        });
        self.screen(&value, Duration::from_secs(2)).await
    }

    /// The decision on a transaction, with all the time it needs.
    pub(crate) async fn decide_on(&self, transaction: &Value) -> Decision {
        self.screen(transaction, Duration::from_secs(60)).await
    }

    async fn screen(&self, transaction: &Value, patience: Duration) -> Decision {
        let context = ParseContext { now: jiff::Timestamp::MAX };
        let transaction = Transaction::parse(transaction, &context).unwrap();
        let options = ScreenOptions {
            deadline: Instant::now() + patience,
            dry_run: false,
            priority: Priority::Interactive,
        };
        self.screener.screen(transaction, options).await.unwrap().decision
    }

    pub(crate) fn metrics(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }
}

/// A report of the schema.
pub(crate) fn report_text(verdict: &str) -> String {
    format!(
        "{{\"verdict\":\"{verdict}\",\"typology\":\"unknown\",\"reasons\":[],\
         \"action\":\"decline\",\"narrative\":\"Seen before.\"}}"
    )
}

/// The tokens of a report that concludes with fraud, up to the next property.
pub(crate) fn verdict_events() -> Vec<Act> {
    let verdict = [("fraud", 0.7), ("susp", 0.2), ("legit", 0.1)];
    vec![
        event(&piece("{\"", &[("{\"", 1.0)])),
        event(&piece("verdict\":\"", &[("verdict\":\"", 1.0)])),
        event(&piece("fraud", &verdict)),
        event(&piece("\",\"", &[("\",\"", 1.0)])),
    ]
}

fn end() -> Vec<Act> {
    let finish = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    vec![event(&finish), Act::Send(b"data: [DONE]\n\n".to_vec())]
}

/// The rest of it.
pub(crate) fn report_rest() -> Vec<Act> {
    let whole = report_text("fraud");
    let rest = whole.strip_prefix("{\"verdict\":\"fraud\",\"").unwrap();
    [vec![event(&piece(rest, &[]))], end()].concat()
}

pub(crate) fn good_stream() -> Vec<Act> {
    [vec![stream_head()], verdict_events(), report_rest()].concat()
}

pub(crate) fn verdict_stream() -> Vec<Act> {
    let mut events = verdict_events();
    events.pop();
    events.push(event(&piece("\"}", &[])));
    [vec![stream_head()], events, end()].concat()
}

/// A good engine at an address that was free a moment ago.
pub(crate) async fn engine_at(address: SocketAddr) -> JoinSet<()> {
    let listener = TcpListener::bind(address).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut read = vec![0; 64 * 1024];
                let count = stream.read(&mut read).await.unwrap_or(0);
                let asks = read[..count].starts_with(b"POST /v1/chat");
                let acts = if asks { good_stream() } else { not_found() };
                for act in acts {
                    if let Act::Send(bytes) = act {
                        let _ = stream.write_all(&bytes).await;
                    }
                }
            });
        }
    });
    tasks
}

fn not_found() -> Vec<Act> {
    let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    vec![Act::Send(head.as_bytes().to_vec())]
}
