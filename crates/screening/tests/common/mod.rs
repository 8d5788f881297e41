//! A screener on stub models, a real velocity store and a real ledger.

#![allow(dead_code, reason = "not every test that shares this uses all of it")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{PackageRef, ParseContext, Score, Transaction, Verdict};
use ledger::Ledger;
use package::Template;
use policy::Policy;
use prometheus::{Registry, TextEncoder};
use screening::{
    Analysing, AnalysisModel, AnalysisOptions, Basis, Case, Extent, Judgement, ModelTimings,
    Narrative, OnLedgerFailure, PendingReport, Place, PolicyDesk, Priority, Renderer, Scored,
    ScreenError, ScreenOptions, Screened, Screener, ScreenerParts, ScreeningMetrics,
    ScreeningModel, Silence, TierError, Unobserved, Written,
};
use tokio::time::Instant;
use velocity::VelocityStore;

/// What the stubs read: the texts as the shipped templates show them, and an amount.
const INPUT: &str = "amt {{ derived.amount }} n {{ velocity.account.h1.count }}\
    {% if transaction.counterparty %} name {{ transaction.counterparty.name | clip(140) }}{% endif %}\
    {% if transaction.memo %} memo {{ transaction.memo | clip(256) }}{% endif %}";
const PROMPT: &str = "amount {{ derived.amount }} score {{ screening_score }}\
    {% if transaction.counterparty %} name {{ transaction.counterparty.name | quote(140) }}{% endif %}\
    {% if transaction.memo %} memo {{ transaction.memo | quote(256) }}{% endif %}";

/// What the stub for tier 2 does.
pub(crate) enum Analyst {
    /// There is no tier 2.
    None,
    /// Must not be asked.
    Panics,
    /// Answers this.
    Answers(Answer),
    /// Answers this, unless the prompt holds one of the texts: then whatever helps its author.
    Obeys(Answer, Arc<[String]>),
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

    /// Honest with this score, until it reads one of the texts.
    pub(crate) fn obeying(score: f64, texts: &Arc<[String]>) -> Self {
        Self::Obeys(Self::says("fraud", score).answer(), Arc::clone(texts))
    }

    fn answer(self) -> Answer {
        match self {
            Self::Answers(answer) | Self::Obeys(answer, _) => answer,
            Self::None | Self::Panics => panic!("it has no answer"),
        }
    }

    pub(crate) fn fails(error: TierError) -> Self {
        Self::Answers(Err(error))
    }

    fn generated(text: &str, verdict: Verdict, score: f64) -> Self {
        let written = Written { text: text.to_owned(), ..Written::default() };
        Self::Answers(Ok((judgement(verdict, score), Ok(written))))
    }
}

fn judgement(verdict: Verdict, score: f64) -> Judgement {
    let score = Score::new(score).unwrap();
    let (basis, timings) = (Basis::Calibrated, ModelTimings::default());
    Judgement { verdict, score, basis, prompt_tokens: Some(7), timings }
}

/// Whether a model that reads this has read one of the texts.
fn has_read(input: &str, texts: &[String]) -> bool {
    texts.iter().any(|text| input.contains(text.as_str()))
}

/// Its answer, and the texts that make it answer 0 instead.
struct StubScreening(PackageRef, Result<f64, TierError>, Arc<[String]>);

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
    async fn score(self: Box<Self>, text: &str) -> Result<Scored, TierError> {
        let honest = self.0.1.clone()?;
        let score = if has_read(text, &self.0.2) { 0.0 } else { honest };
        let score = Score::new(score).map_err(TierError::Failed)?;
        Ok(Scored { score, timings: ModelTimings::default() })
    }
}

/// A verdict and what became of its report.
pub(crate) type Answer = Result<(Judgement, Result<Written, TierError>), TierError>;

struct StubAnalysis(PackageRef, Analyst);

#[async_trait]
impl AnalysisModel for StubAnalysis {
    fn package(&self) -> &PackageRef {
        &self.0
    }

    async fn analyse(&self, case: Case) -> Result<Analysing, TierError> {
        let answer = match &self.1 {
            Analyst::None | Analyst::Panics => panic!("tier 2 must not be asked"),
            Analyst::Answers(answer) => answer.clone(),
            Analyst::Obeys(honest, texts) if !has_read(&case.prompt, texts) => honest.clone(),
            Analyst::Obeys(..) => Analyst::says("legitimate", 0.0).answer(),
        };
        let (judgement, written) = answer?;
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
        Self::build_with(Ok(0.5), analyst, options, Arc::default()).await
    }

    pub(crate) async fn failing(error: TierError) -> Self {
        Self::build(Err(error), Analyst::None).await
    }

    async fn build(score: Result<f64, TierError>, analyst: Analyst) -> Self {
        Self::build_with(score, analyst, AnalysisOptions::default(), Arc::default()).await
    }

    /// A tier 1 that gives score 0 to whatever holds one of the texts.
    pub(crate) async fn gullible(
        score: Result<f64, TierError>,
        analyst: Analyst,
        texts: Arc<[String]>,
    ) -> Self {
        Self::build_with(score, analyst, AnalysisOptions::default(), texts).await
    }

    pub(crate) async fn build_with(
        score: Result<f64, TierError>,
        analyst: Analyst,
        options: AnalysisOptions,
        texts: Arc<[String]>,
    ) -> Self {
        Self::build_parts(score, analyst, texts, |parts| parts.options = options).await
    }

    /// With whatever else a test wants otherwise.
    pub(crate) async fn build_parts(
        score: Result<f64, TierError>,
        analyst: Analyst,
        texts: Arc<[String]>,
        adjust: impl FnOnce(&mut ScreenerParts),
    ) -> Self {
        let registry = Registry::new();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.sqlite");
        let config = ledger::Config::new(ledger::StoreConfig::Sqlite { path });
        let ledger = Ledger::open(config, &registry).await.unwrap();
        let package = |name: &str| PackageRef {
            name: name.into(),
            version: "1".into(),
            sha256: "0".repeat(64),
        };
        let analysis = (!matches!(analyst, Analyst::None))
            .then(|| Arc::new(StubAnalysis(package("t2"), analyst)) as Arc<dyn AnalysisModel>);
        let mut parts = ScreenerParts {
            velocity: Arc::new(VelocityStore::new(velocity::Config::default(), &registry).unwrap()),
            renderer: Renderer::new(
                Template::compile(INPUT).unwrap(),
                Some(Template::compile(PROMPT).unwrap()),
            ),
            screening: Arc::new(StubScreening(package("t1"), score, texts)),
            analysis,
            policies: Arc::new(PolicyDesk::new(Arc::new(Policy::parse(Policy::DEFAULT).unwrap()))),
            ledger: Some(ledger.clone()),
            metrics: ScreeningMetrics::register(&registry).unwrap(),
            options: AnalysisOptions::default(),
            on_ledger_failure: OnLedgerFailure::Refuse,
            announcer: Arc::new(Silence),
            shadow: None,
            observer: Arc::new(Unobserved),
        };
        adjust(&mut parts);
        let screener = Screener::new(parts);
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
    ScreenOptions { dry_run, ..ScreenOptions::by(Instant::now() + Duration::from_secs(5)) }
}

pub(crate) fn transaction(id: &str, amount: &str) -> Transaction {
    transaction_with(id, amount, None, None)
}

pub(crate) fn transaction_with(
    id: &str,
    amount: &str,
    name: Option<&str>,
    memo: Option<&str>,
) -> Transaction {
    let mut value = serde_json::json!({
        "id": id, "timestamp": "2026-03-01T12:00:00Z", "amount": amount, "currency": "EUR",
        "account": {"id": "acc-1"}, "counterparty": {"id": "cp-1"},
    });
    if let Some(name) = name {
        value["counterparty"]["name"] = name.into();
    }
    if let Some(memo) = memo {
        value["memo"] = memo.into();
    }
    let context = ParseContext { now: "2026-03-01T12:00:00Z".parse().unwrap() };
    Transaction::parse(&value, &context).unwrap()
}
