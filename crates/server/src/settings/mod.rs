//! What an operator can choose: a TOML file, over it the environment, over it flags.
//!
//! Two stages: everything is merged into one table, then read and checked as a whole. A key or
//! a `WEIR_…` variable that nobody reads is an error, because a misspelt limit is no limit.

mod check;
mod engine;
mod environment;
mod locate;
mod quality;
mod sections;
mod webhooks;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use check::DEADLINE_MS;
pub use engine::{Engine, EngineDialect, EngineEndpoint};
pub use environment::{CONFIG_VARIABLE, LOG_VARIABLE, keys};
pub use locate::locate;
pub use quality::Quality;
pub use sections::{
    Analysis, AnalysisEngine, AnalysisOrder, CpuPriority, ExecutionProvider, Http, LateAnalysis,
    LedgerStore, Log, LogFormat, Narrative, OnLedgerFailure, PolicyAuthor, PolicyFile, Runtime,
    Screening, Shadow, Shutdown, Velocity,
};
pub use webhooks::{WebhookEndpoint, Webhooks};

/// Everything an operator can choose. Documented in `docs/configuration.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on; port 0 lets the system choose.
    pub listen: String,
    /// Where the ledger lives.
    pub data_dir: PathBuf,
    /// What is logged, and how.
    pub log: Log,
    /// Bounds of the HTTP side.
    pub http: Http,
    /// The ONNX Runtime library.
    pub runtime: Runtime,
    /// Tier 1.
    pub screening: Screening,
    /// Tier 2.
    pub analysis: Analysis,
    /// The engine that tier 2 asks when it is not the embedded one.
    pub engine: Engine,
    /// Sliding windows.
    pub velocity: Velocity,
    /// The record of decisions.
    pub ledger: LedgerStore,
    /// The policy.
    pub policy: PolicyFile,
    /// What is tried beside the live policy and packages.
    pub shadow: Shadow,
    /// Who is told what was decided.
    pub webhooks: Webhooks,
    /// Live precision and recall.
    pub quality: Quality,
    /// The end.
    pub shutdown: Shutdown,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            data_dir: "./data".into(),
            log: Log::default(),
            http: Http::default(),
            runtime: Runtime::default(),
            screening: Screening::default(),
            analysis: Analysis::default(),
            engine: Engine::default(),
            velocity: Velocity::default(),
            ledger: LedgerStore::default(),
            policy: PolicyFile::default(),
            shadow: Shadow::default(),
            webhooks: Webhooks::default(),
            quality: Quality::default(),
            shutdown: Shutdown::default(),
        }
    }
}

/// Why the settings cannot be used. Each names the key and where it came from.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file is not the TOML expected.
    #[error("{path}: {detail}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        detail: String,
    },
    /// An environment variable nobody reads, or with a value of the wrong kind.
    #[error("environment variable {name} {detail}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        detail: String,
    },
    /// Merged, they still do not read as settings.
    #[error("{0}")]
    Merged(String),
    /// Values out of range, all of them.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

/// Where settings come from, weakest first.
#[derive(Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `WEIR_` are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags: dotted keys with their values.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// The process's environment and, unless a file is given, the file that `WEIR_CONFIG` names.
    #[must_use]
    pub fn from_process(file: Option<PathBuf>) -> Self {
        // A variable that is no Unicode cannot be one of ours.
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE);
        let file = file.or_else(|| named.map(|(_, path)| PathBuf::from(path)));
        Self { file, environment, flags: Vec::new() }
    }
}

impl Settings {
    /// Merges the sources and checks the result.
    ///
    /// # Errors
    /// When a source cannot be read, names something unknown, or a value is out of range.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let mut table = match &sources.file {
            Some(path) => read_file(path)?,
            None => toml::Table::new(),
        };
        environment::overlay(&mut table, &sources.environment)?;
        for (key, value) in &sources.flags {
            environment::set(&mut table, key, value)
                .map_err(|detail| SettingsError::Invalid(vec![format!("{key} {detail}")]))?;
        }
        let settings: Self =
            table.try_into().map_err(|error| SettingsError::Merged(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// The effective settings as TOML, without secrets.
    ///
    /// # Errors
    /// Never for settings that were loaded.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// The ledger's settings.
    ///
    /// # Errors
    /// When the file with the database's URL cannot be read, or holds no such URL.
    pub fn ledger_config(&self) -> Result<ledger::Config, SettingsError> {
        let store = match &self.ledger.url_file {
            None => ledger::StoreConfig::Sqlite { path: self.data_dir.join(&self.ledger.file) },
            Some(file) => {
                let path = locate(file);
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| SettingsError::Read { path: path.clone(), source })?;
                let url = text.trim().parse().map_err(|detail: String| {
                    // The text itself may hold a password.
                    SettingsError::File { path, detail }
                })?;
                ledger::StoreConfig::Postgres { url }
            }
        };
        Ok(ledger::Config {
            store,
            readers: self.ledger.readers,
            queue_depth: self.ledger.queue_depth,
            spool_depth: self.ledger.spool_depth,
            lease: self.lease(),
            ..ledger::Config::default()
        })
    }

    /// Where the ledger is, in words that hold no secret.
    #[must_use]
    pub fn ledger_name(&self) -> String {
        match &self.ledger.url_file {
            None => self.data_dir.join(&self.ledger.file).display().to_string(),
            Some(file) => format!("the PostgreSQL database named in {}", file.display()),
        }
    }

    /// How long leases last.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.ledger.lease_ms)
    }

    /// What a failing ledger means for a decision.
    #[must_use]
    pub fn on_ledger_failure(&self) -> screening::OnLedgerFailure {
        match self.ledger.on_failure {
            OnLedgerFailure::Refuse => screening::OnLedgerFailure::Refuse,
            OnLedgerFailure::Answer => screening::OnLedgerFailure::Answer,
        }
    }

    /// How tier 2 is asked.
    #[must_use]
    pub fn analysis_options(&self) -> screening::AnalysisOptions {
        let analysis = &self.analysis;
        screening::AnalysisOptions {
            narrative: match analysis.narrative {
                Narrative::Inline => screening::Narrative::Inline,
                Narrative::After => screening::Narrative::After,
                Narrative::Off => screening::Narrative::Off,
            },
            second_pass: analysis.second_pass,
            answer_reserve: Duration::from_millis(analysis.answer_reserve_ms),
            report_patience: Duration::from_millis(analysis.report_deadline_ms),
            late: match analysis.late {
                LateAnalysis::Promise => screening::Late::Promise,
                LateAnalysis::Fallback => screening::Late::Fallback,
            },
            promise_patience: Duration::from_millis(analysis.promise_deadline_ms),
            max_promised: analysis.max_promised,
        }
    }

    /// The velocity store's settings.
    #[must_use]
    pub fn velocity_config(&self) -> velocity::Config {
        velocity::Config {
            max_entities: self.velocity.max_entities,
            max_events_per_entity: self.velocity.max_events_per_entity,
            ..velocity::Config::default()
        }
    }

    /// The policy document: the file's text, or the built-in policy.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn policy_document(&self) -> Result<String, SettingsError> {
        let Some(file) = &self.policy.file else {
            return Ok(policy::Policy::DEFAULT.to_owned());
        };
        let path = locate(file);
        std::fs::read_to_string(&path).map_err(|source| SettingsError::Read { path, source })
    }
}

/// Read twice: as settings, because those errors name the line; as a table, to be merged.
fn read_file(path: &Path) -> Result<toml::Table, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let malformed = |error: toml::de::Error| SettingsError::File {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    toml::from_str::<Settings>(&text).map_err(malformed)?;
    text.parse().map_err(malformed)
}

#[cfg(test)]
mod tests;
