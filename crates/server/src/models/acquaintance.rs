//! What is known of a remote engine: asked at the start, and again after it failed.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context;
use domain::PackageRef;
use engine_client::{Capabilities, Client, Dialect};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// How long a probe may take: a few dozen tokens of a slow model.
const PROBE_PATIENCE: Duration = Duration::from_secs(60);
/// The wait after the first probe that failed; it doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The least time between a probe that succeeded and the next.
const SPACING: Duration = Duration::from_secs(30);
/// The longest name of a model in a package's name, in characters.
const MODEL_SHOWN_MAX: usize = 96;

/// What a case meets.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// The first probe is under way.
    Unmet,
    /// No probe has succeeded; why the last one did not.
    Down(String),
    /// The engine is the one that the package's name tells.
    Met,
    /// It is another one by now.
    Replaced(String),
}

/// What is known of the engine.
pub(super) struct Acquaintance {
    package: PackageRef,
    /// The package as named before the engine answered.
    stated: PackageRef,
    met: OnceLock<PackageRef>,
    standing: watch::Sender<Standing>,
    doubt: Notify,
}

impl Acquaintance {
    /// `stated` are the model and the dialect of the settings, as far as they tell.
    pub(super) fn new(package: PackageRef, stated: (Option<String>, Option<Dialect>)) -> Self {
        let (model, dialect) = stated;
        let dialect = dialect.map_or("engine", Dialect::as_str);
        let stated = named(&package, dialect, model.as_deref().unwrap_or("unknown"));
        let standing = watch::Sender::new(Standing::Unmet);
        Self { package, stated, met: OnceLock::new(), standing, doubt: Notify::new() }
    }

    /// The package with the engine in its name: `weir-analysis@vllm:Qwen/Qwen3-8B`. Its hash is
    /// that of the package, so of the prompt and the calibration; the engine's weights are not
    /// seen from here.
    pub(super) fn package(&self) -> &PackageRef {
        self.met.get().unwrap_or(&self.stated)
    }

    /// Whether the engine may be asked.
    pub(super) fn check(&self) -> Result<(), String> {
        match &*self.standing.borrow() {
            Standing::Met => Ok(()),
            Standing::Unmet => Err("the engine has not answered its first probe yet".into()),
            Standing::Down(why) => Err(format!("the engine has answered no probe yet: {why}")),
            Standing::Replaced(by) => {
                Err(format!("the engine is {by} now; restart to take it for tier 2"))
            }
        }
    }

    /// Asks for a probe: the engine failed, and what comes back may be another one.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    fn found(&self, capabilities: &Capabilities) {
        let Capabilities { model, dialect, .. } = capabilities;
        let found = named(&self.package, dialect.as_str(), model);
        let met = self.met.get_or_init(|| found.clone());
        if *met == found {
            tracing::info!(
                engine = dialect.as_str(),
                model,
                honours_schema = capabilities.honours_schema,
                streams = capabilities.streams,
                log_probs = ?capabilities.log_probs,
                top_logprobs = capabilities.top_logprobs,
                "the engine answered its probe"
            );
            self.standing.send_replace(Standing::Met);
        } else {
            let by = format!("{}:{}", dialect.as_str(), shown(model));
            tracing::error!(
                expected = met.name,
                found = by,
                "the engine was replaced; cases get the fallback until it is back, or a restart"
            );
            self.standing.send_replace(Standing::Replaced(by));
        }
    }

    fn failed(&self, error: &str, wait: Duration) {
        let wait_ms = wait.as_millis();
        tracing::warn!(error, wait_ms, "the engine does not answer its probe; trying again");
        self.standing.send_if_modified(|standing| {
            let unmet = matches!(standing, Standing::Unmet | Standing::Down(_));
            if unmet {
                *standing = Standing::Down(error.to_owned());
            }
            unmet
        });
    }
}

/// The probing, in the background until dropped.
pub(super) struct Introduction {
    acquaintance: Arc<Acquaintance>,
    _task: JoinSet<()>,
}

impl Introduction {
    /// # Errors
    /// Outside of a Tokio runtime.
    pub(super) fn begin(client: Client, acquaintance: Arc<Acquaintance>) -> anyhow::Result<Self> {
        let runtime = Handle::try_current().context("a remote engine needs an async runtime")?;
        let mut task = JoinSet::new();
        task.spawn_on(introduce(client, Arc::clone(&acquaintance)), &runtime);
        Ok(Self { acquaintance, _task: task })
    }

    /// Waits until the first probe has ended, well or not, as long as `patience`.
    pub(super) async fn attempted(&self, patience: Duration) {
        let mut standing = self.acquaintance.standing.subscribe();
        let attempted = standing.wait_for(|standing| *standing != Standing::Unmet);
        // Whether it came to that makes no difference here: cases are told.
        let _ = timeout(patience, attempted).await;
    }
}

async fn introduce(client: Client, acquaintance: Arc<Acquaintance>) {
    let mut wait = WAIT_MIN;
    loop {
        match client.probe(Instant::now() + PROBE_PATIENCE).await {
            Ok(capabilities) => {
                wait = WAIT_MIN;
                acquaintance.found(&capabilities);
                sleep(SPACING).await;
                acquaintance.doubt.notified().await;
            }
            Err(error) => {
                acquaintance.failed(&error.to_string(), wait);
                sleep(wait).await;
                wait = (wait * 2).min(WAIT_MAX);
            }
        }
    }
}

fn named(package: &PackageRef, dialect: &str, model: &str) -> PackageRef {
    let name = format!("{}@{dialect}:{}", package.name, shown(model));
    PackageRef { name, ..package.clone() }
}

/// A model's name as a label: llama.cpp names one after its file, of which the folders say nothing.
fn shown(model: &str) -> String {
    let name = if model.starts_with('/') { model.rsplit('/').next() } else { None };
    name.unwrap_or(model).chars().filter(|c| !c.is_control()).take(MODEL_SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use engine_client::LogProbKind;

    use super::*;

    fn acquaintance() -> Acquaintance {
        let package = PackageRef { name: "a".into(), version: "1".into(), sha256: "f".into() };
        Acquaintance::new(package, (None, None))
    }

    fn serving(model: &str) -> Capabilities {
        Capabilities {
            model: model.into(),
            dialect: Dialect::LlamaCpp,
            honours_schema: true,
            streams: true,
            log_probs: LogProbKind::Raw,
            top_logprobs: 20,
        }
    }

    #[test]
    fn a_decision_names_the_engines_kind_and_model_once_they_are_known() {
        let acquaintance = acquaintance();
        assert_eq!(acquaintance.package().name, "a@engine:unknown");
        assert!(acquaintance.check().is_err());
        acquaintance.found(&serving("/models/shipped.gguf"));
        assert_eq!(acquaintance.package().name, "a@llama-server:shipped.gguf");
        acquaintance.check().unwrap();
    }

    #[test]
    fn an_engine_that_comes_back_with_another_model_is_not_asked() {
        let acquaintance = acquaintance();
        acquaintance.found(&serving("one"));
        acquaintance.failed("gone", WAIT_MIN);
        acquaintance.check().unwrap();
        acquaintance.found(&serving("two"));
        assert!(acquaintance.check().unwrap_err().contains("llama-server:two"));
        assert_eq!(acquaintance.package().name, "a@llama-server:one");
        acquaintance.found(&serving("one"));
        acquaintance.check().unwrap();
    }
}
