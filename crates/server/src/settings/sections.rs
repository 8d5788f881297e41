//! The sections of the settings, with their defaults.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or directives such as `info,server=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// Bounds of the HTTP side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Threads that parse, render and answer; 0 means half as many as there are cores.
    pub threads: usize,
    /// Most connections open at once; more wait to be accepted.
    pub max_connections: usize,
    /// Most `/v1` requests answered at once; more get 429.
    pub max_in_flight: usize,
    /// Largest JSON body; larger ones get 413.
    pub body_limit_bytes: usize,
    /// Longest line of an NDJSON body.
    pub line_limit_bytes: usize,
    /// How long a request may take when it does not say.
    pub default_deadline_ms: u64,
    /// Most lines of one batch screened at once.
    pub batch_concurrency: usize,
    /// How long a client may take to send a request's head.
    pub header_timeout_ms: u64,
    /// How long a client may pause while it sends a body.
    pub body_timeout_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            threads: 0,
            max_connections: 4096,
            max_in_flight: 1024,
            body_limit_bytes: 256 * 1024,
            line_limit_bytes: 64 * 1024,
            default_deadline_ms: 10_000,
            batch_concurrency: 16,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
        }
    }
}

/// The ONNX Runtime library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// The library or its folder, when it is not in its usual place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
}

/// What computes a model. The ONNX Runtime library must have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionProvider {
    /// ONNX Runtime's own kernels.
    #[default]
    Cpu,
    /// Intel's OpenVINO, on the CPU.
    OpenVino,
    /// NVIDIA's CUDA, on the first device.
    Cuda,
}

/// Tier 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Screening {
    /// The model package.
    pub package: PathBuf,
    /// What computes.
    pub execution_provider: ExecutionProvider,
    /// Sessions that compute side by side; 0 means one per core.
    pub workers: usize,
    /// Threads inside one computation.
    pub intra_threads: usize,
    /// Threads of the session that answers a lone transaction; 0 means all the workers' cores,
    /// up to four; 1 means that there is none.
    pub wide_threads: usize,
    /// Most transactions in one batch.
    pub max_batch_size: usize,
    /// How long a transaction may be kept waiting for company while a core is idle.
    pub max_queue_delay_us: u64,
    /// Most transactions that wait; more get 429.
    pub max_queue_depth: usize,
}

impl Default for Screening {
    fn default() -> Self {
        Self {
            package: "models/screening".into(),
            execution_provider: ExecutionProvider::Cpu,
            workers: 0,
            intra_threads: 1,
            wide_threads: 0,
            max_batch_size: 8,
            max_queue_delay_us: 0,
            max_queue_depth: 1024,
        }
    }
}

/// Which case is analysed first when not all can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnalysisOrder {
    /// First come, first served.
    #[default]
    Arrival,
    /// The largest amount; one turn in four is the oldest case's.
    Amount,
}

/// How tier 2 shares the cores with all else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuPriority {
    /// It computes while nothing else on the machine wants the core.
    #[default]
    Idle,
    /// It has a hundredth of the share of what else wants the core.
    Low,
    /// As all else.
    Normal,
}

/// When the report on an escalated transaction is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Narrative {
    /// Before the answer.
    #[default]
    Inline,
    /// After it: the answer needs the verdict alone, and the report is added to the decision.
    After,
    /// Never: verdicts only.
    Off,
}

/// What becomes of an analysis that is not ready when the answer is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LateAnalysis {
    /// The fallback is answered as provisional, and the analysis comes later.
    #[default]
    Promise,
    /// The fallback is final.
    Fallback,
}

/// What writes the reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnalysisEngine {
    /// The package's own decoder, inside this process.
    #[default]
    Embedded,
    /// An engine with OpenAI's API, see `[engine]`.
    OpenAi,
}

/// Tier 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Analysis {
    /// Whether escalated transactions are analysed at all.
    pub enabled: bool,
    /// What writes the reports.
    pub engine: AnalysisEngine,
    /// The model package. Of a remote engine's, the template and the calibration alone are used.
    pub package: PathBuf,
    /// Threads inside one computation; 0 means as many as there are cores.
    pub intra_threads: usize,
    /// How its threads share the cores with tier 1.
    pub cpu_priority: CpuPriority,
    /// Most analyses that are written side by side.
    pub max_batch_size: usize,
    /// Most analyses that wait; more get the policy's fallback.
    pub max_queue_depth: usize,
    /// Which case is analysed first.
    pub order: AnalysisOrder,
    /// Most tokens of a prompt that are computed between two steps of the analyses under way.
    pub prefill_chunk_tokens: usize,
    /// The shortest run of tokens that is fed at once: one chosen, and those the schema forces
    /// behind it.
    pub forced_run_tokens: usize,
    /// When the report is written.
    pub narrative: Narrative,
    /// How long a report may take that is written after the answer, and an analysis that was
    /// promised.
    pub report_deadline_ms: u64,
    /// What becomes of an analysis that is not ready when the answer is due.
    pub late: LateAnalysis,
    /// How long a promised analysis is tried before the fallback becomes final.
    pub promise_deadline_ms: u64,
    /// Most analyses that may be owed at once; past that, late ones get the fallback for good.
    pub max_promised: usize,
    /// Most promised analyses that are worked on side by side.
    pub promised_concurrency: usize,
    /// Whether a case with a memo is judged a second time without it; the stricter verdict counts.
    pub second_pass: bool,
    /// Kept back from the deadline for recording and answering.
    pub answer_reserve_ms: u64,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            enabled: true,
            engine: AnalysisEngine::default(),
            package: "models/analysis".into(),
            intra_threads: 0,
            cpu_priority: CpuPriority::default(),
            max_batch_size: 8,
            max_queue_depth: 64,
            order: AnalysisOrder::default(),
            prefill_chunk_tokens: 256,
            forced_run_tokens: 2,
            narrative: Narrative::default(),
            report_deadline_ms: 60_000,
            late: LateAnalysis::default(),
            promise_deadline_ms: 600_000,
            max_promised: 10_000,
            promised_concurrency: 2,
            second_pass: false,
            answer_reserve_ms: 100,
        }
    }
}

/// Sliding windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Velocity {
    /// Most accounts, cards, devices, counterparties and terminals together.
    pub max_entities: usize,
    /// Most transactions kept for one of them.
    pub max_events_per_entity: usize,
}

impl Default for Velocity {
    fn default() -> Self {
        let defaults = velocity::Config::default();
        Self {
            max_entities: defaults.max_entities,
            max_events_per_entity: defaults.max_events_per_entity,
        }
    }
}

/// What a decision does when the ledger cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLedgerFailure {
    /// It is refused: nothing is answered that is not recorded.
    #[default]
    Refuse,
    /// It is answered as `degraded`, and recorded once the ledger is back.
    Answer,
}

/// The record of decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerStore {
    /// The SQLite file, inside `data_dir` unless absolute.
    pub file: PathBuf,
    /// A file that holds the URL of a PostgreSQL database, and nothing else; that database is the
    /// ledger then. The URL itself is no setting, because it may hold a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Connections to PostgreSQL that read; also how many reads of a SQLite file run at once.
    pub readers: u32,
    /// Most writes that wait; more get 503.
    pub queue_depth: usize,
    /// What a decision does when the ledger cannot be written.
    pub on_failure: OnLedgerFailure,
    /// Most decisions kept in memory until the ledger is back.
    pub spool_depth: usize,
    /// How long an instance that is not heard of keeps the analyses it has taken on.
    pub lease_ms: u64,
}

impl Default for LedgerStore {
    fn default() -> Self {
        let defaults = ledger::Config::default();
        Self {
            file: "weir.sqlite".into(),
            url_file: None,
            readers: defaults.readers,
            queue_depth: defaults.queue_depth,
            on_failure: OnLedgerFailure::default(),
            spool_depth: 10_000,
            lease_ms: 15_000,
        }
    }
}

/// The policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyFile {
    /// A policy document; the built-in policy without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// How often the file is looked at for a change.
    pub reload_ms: u64,
    /// Who may put a policy over HTTP.
    pub authors: Vec<PolicyAuthor>,
}

/// Somebody, or something, that may put a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyAuthor {
    /// The name that the ledger keeps beside the policy.
    pub name: String,
    /// The SHA-256 of the author's key, hexadecimal. The key itself is no setting.
    pub key_sha256: String,
}

impl Default for PolicyFile {
    fn default() -> Self {
        Self { file: None, reload_ms: 2_000, authors: Vec::new() }
    }
}

/// What is tried beside the live policy and packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shadow {
    /// A policy document to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PathBuf>,
    /// A model package of tier 1 to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screening: Option<PathBuf>,
    /// Most transactions tried at once; more are left out and counted.
    pub max_in_flight: usize,
}

impl Default for Shadow {
    fn default() -> Self {
        Self { policy: None, screening: None, max_in_flight: 64 }
    }
}

/// The end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long to go on answering after `/readyz` says no, so that a balancer notices.
    pub delay_ms: u64,
    /// How long requests in flight may take to finish after that.
    pub grace_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { delay_ms: 0, grace_ms: 10_000 }
    }
}
