//! A screener on stub models, a real velocity store and a real ledger.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{PackageRef, ParseContext, Score, Transaction, Verdict};
use ledger::Ledger;
use package::Template;
use prometheus::{Registry, TextEncoder};
use screening::{
    Analysing, AnalysisModel, AnalysisOptions, Basis, Case, Extent, Judgement, ModelTimings,
    Narrative, PendingReport, Place, Policy, Priority, Renderer, Scored, ScreenError,
    ScreenOptions, Screened, Screener, ScreenerParts, ScreeningMetrics, ScreeningModel, TierError,
    Written,
};
use tokio::time::Instant;
use velocity::VelocityStore;

const INPUT: &str = "amt {{ derived.amount }} n {{ velocity.account.h1.count }}";
const PROMPT: &str = "amount {{ derived.amount }} score {{ screening_score }}";

/// What the stub for tier 2 does.
pub(crate) enum Analyst {
    /// There is no tier 2.
    None,
    /// Must not be asked.
    Panics,
    /// Answers this.
    Answers(Answer),
}

impl Analyst {
    pub(crate) fn says(verdict: &str, score: f64) -> Self {
        let text = format!(
            "{{\"verdict\":\"{verdict}\",\"typology\":\"unknown\",\"reasons\":[\"NEW_DEVICE\"],\
             \"action\":\"decline\",\"narrative\":\"Spent 123.45 today.\"}}"
        );
        Self::generated(&text, verdict.parse().unwrap(), score)
    }

    pub(crate) fn writes(text: &str) -> Self {
        Self::generated(text, Verdict::Fraud, 0.9)
    }

    /// Judges, and then fails to report.
    pub(crate) fn stops_after_its_verdict(error: TierError) -> Self {
        Self::Answers(Ok((judgement(Verdict::Fraud, 0.97), Err(error))))
    }

    pub(crate) fn fails(error: TierError) -> Self {
        Self::Answers(Err(error))
    }

    fn generated(text: &str, verdict: Verdict, score: f64) -> Self {
        let written = Written { text: text.to_owned(), run: Duration::ZERO };
        Self::Answers(Ok((judgement(verdict, score), Ok(written))))
    }
}

fn judgement(verdict: Verdict, score: f64) -> Judgement {
    let score = Score::new(score).unwrap();
    Judgement { verdict, score, basis: Basis::Calibrated, timings: ModelTimings::default() }
}

struct StubScreening(PackageRef, Result<f64, TierError>);

impl ScreeningModel for StubScreening {
    fn package(&self) -> &PackageRef {
        &self.0
    }

    fn reserve(&self, _: Priority, _: Instant) -> Result<Box<dyn Place + '_>, TierError> {
        if let Err(TierError::Overloaded { retry_after }) = &self.1 {
            return Err(TierError::Overloaded { retry_after: *retry_after });
        }
        Ok(Box::new(StubPlace(self)))
    }
}

struct StubPlace<'a>(&'a StubScreening);

#[async_trait]
impl Place for StubPlace<'_> {
    async fn score(self: Box<Self>, _text: &str) -> Result<Scored, TierError> {
        let score = Score::new(self.0.1.clone()?).map_err(TierError::Failed)?;
        Ok(Scored { score, timings: ModelTimings::default() })
    }
}

type Answer = Result<(Judgement, Result<Written, TierError>), TierError>;

struct StubAnalysis(PackageRef, Option<Answer>);

#[async_trait]
impl AnalysisModel for StubAnalysis {
    fn package(&self) -> &PackageRef {
        &self.0
    }

    async fn analyse(&self, case: Case) -> Result<Analysing, TierError> {
        let (judgement, written) = self.1.clone().expect("tier 2 must not be asked")?;
        let report = async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            written
        };
        let wanted = case.extent == Extent::Report;
        Ok(Analysing { judgement, report: wanted.then(|| Box::pin(report) as PendingReport) })
    }
}

pub(crate) struct Harness {
    pub(crate) screener: Screener,
    pub(crate) ledger: Ledger,
    registry: Registry,
    _dir: tempfile::TempDir,
}

impl Harness {
    pub(crate) async fn start(score: f64, analyst: Analyst) -> Self {
        Self::build(Ok(score), analyst).await
    }

    pub(crate) async fn with_narrative(analyst: Analyst, narrative: Narrative) -> Self {
        let options = AnalysisOptions { narrative, ..AnalysisOptions::default() };
        Self::build_with(Ok(0.5), analyst, options).await
    }

    pub(crate) async fn failing(error: TierError) -> Self {
        Self::build(Err(error), Analyst::None).await
    }

    async fn build(score: Result<f64, TierError>, analyst: Analyst) -> Self {
        Self::build_with(score, analyst, AnalysisOptions::default()).await
    }

    async fn build_with(
        score: Result<f64, TierError>,
        analyst: Analyst,
        options: AnalysisOptions,
    ) -> Self {
        let registry = Registry::new();
        let dir = tempfile::tempdir().unwrap();
        let config = ledger::Config { path: dir.path().join("l.sqlite"), ..Default::default() };
        let ledger = Ledger::open(config, &registry).await.unwrap();
        let package = |name: &str| PackageRef {
            name: name.into(),
            version: "1".into(),
            sha256: "0".repeat(64),
        };
        let answer = match analyst {
            Analyst::None => None,
            Analyst::Panics => Some(None),
            Analyst::Answers(answer) => Some(Some(answer)),
        };
        let analysis = answer
            .map(|answer| Arc::new(StubAnalysis(package("t2"), answer)) as Arc<dyn AnalysisModel>);
        let screener = Screener::new(ScreenerParts {
            velocity: Arc::new(VelocityStore::new(velocity::Config::default(), &registry).unwrap()),
            renderer: Renderer::new(
                Template::compile(INPUT).unwrap(),
                Some(Template::compile(PROMPT).unwrap()),
            ),
            screening: Arc::new(StubScreening(package("t1"), score)),
            analysis,
            policy: Policy::parse(Policy::DEFAULT).unwrap(),
            ledger: Some(ledger.clone()),
            metrics: ScreeningMetrics::register(&registry).unwrap(),
            options,
        });
        Self { screener, ledger, registry, _dir: dir }
    }

    pub(crate) fn screen(
        &self,
        transaction: Transaction,
    ) -> impl Future<Output = Result<Screened, ScreenError>> {
        self.screener.screen(transaction, options(false))
    }

    pub(crate) fn dry_run(
        &self,
        transaction: Transaction,
    ) -> impl Future<Output = Result<Screened, ScreenError>> {
        self.screener.screen(transaction, options(true))
    }

    pub(crate) fn metrics(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }
}

fn options(dry_run: bool) -> ScreenOptions {
    ScreenOptions {
        deadline: Instant::now() + Duration::from_secs(5),
        dry_run,
        priority: Priority::Interactive,
    }
}

pub(crate) fn transaction(id: &str, amount: &str) -> Transaction {
    let value = serde_json::json!({
        "id": id, "timestamp": "2026-03-01T12:00:00Z", "amount": amount, "currency": "EUR",
        "account": {"id": "acc-1"},
    });
    let context = ParseContext { now: "2026-03-01T12:00:00Z".parse().unwrap() };
    Transaction::parse(&value, &context).unwrap()
}
