//! The `[webhooks]` section: who is told what was decided.

use std::{fs, ops::RangeInclusive, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use webhooks::{Config, Endpoint, NewEndpoint, Plan, Secret, check_together};

use super::locate;

/// What there is to hear of: a provisional decision has become final; the report of a decision that
/// stands has come.
const EVENTS: [&str; 2] = ["decision.final", "decision.reported"];
const RETRIES_MAX: usize = 20;
const WEEK_S: u64 = 7 * 24 * 3600;

/// How messages are sent, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Most requests under way at once; each endpoint has an equal share.
    pub max_concurrency: usize,
    /// Most requests under way at once to one endpoint.
    pub max_concurrency_per_endpoint: usize,
    /// How long a connection may take.
    pub connect_timeout_ms: u64,
    /// How long an endpoint may take to answer.
    pub timeout_ms: u64,
    /// The longest wait after the first, second, … failed attempt, in seconds.
    pub retry_waits_s: Vec<u64>,
    /// The longest that an endpoint's `Retry-After` is obeyed, in seconds.
    pub retry_after_max_s: u64,
    /// Whether endpoints are reached through the proxy that the environment names.
    pub use_environment_proxy: bool,
    /// Who is told.
    pub endpoints: Vec<WebhookEndpoint>,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookEndpoint {
    /// What it is called in the ledger and in logs.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// A file with its signing secret, or several, one a line. The secret itself is no setting.
    pub secret_file: PathBuf,
    /// The events it wants; all without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Permits `http` to another machine.
    pub allow_insecure: bool,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            max_concurrency: 32,
            max_concurrency_per_endpoint: 4,
            connect_timeout_ms: 5_000,
            timeout_ms: 15_000,
            retry_waits_s: Plan::default().waits.iter().map(Duration::as_secs).collect(),
            retry_after_max_s: 24 * 3600,
            use_environment_proxy: false,
            endpoints: Vec::new(),
        }
    }
}

impl Webhooks {
    /// How messages are sent.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            plan: Plan {
                waits: self.retry_waits_s.iter().copied().map(Duration::from_secs).collect(),
                retry_after_max: Duration::from_secs(self.retry_after_max_s),
            },
            max_concurrency: self.max_concurrency,
            max_concurrency_per_endpoint: self.max_concurrency_per_endpoint,
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            timeout: Duration::from_millis(self.timeout_ms),
            use_environment_proxy: self.use_environment_proxy,
            ..Config::default()
        }
    }

    /// The endpoints, their secrets read from their files.
    ///
    /// # Errors
    /// Everything that is wrong with them. No message holds a secret or a URL.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, Vec<String>> {
        let (mut endpoints, mut problems) = (Vec::new(), Vec::new());
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            match endpoint.parse() {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(problem) => problems.push(format!("webhooks.endpoints[{index}]: {problem}")),
            }
        }
        if let Err(problem) = check_together(&endpoints) {
            problems.push(format!("webhooks.endpoints: {problem}"));
        }
        if problems.is_empty() { Ok(endpoints) } else { Err(problems) }
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.endpoints().err().unwrap_or_default();
        if self.retry_waits_s.len() > RETRIES_MAX {
            problems.push(format!("webhooks.retry_waits_s has at most {RETRIES_MAX} waits"));
        }
        if let Some(wait) = self.retry_waits_s.iter().find(|wait| **wait > WEEK_S) {
            problems.push(format!(
                "webhooks.retry_waits_s: {wait} must be between 0 and {WEEK_S}, a week"
            ));
        }
        problems
    }

    pub(super) fn ranges(&self) -> [(&'static str, u64, RangeInclusive<u64>); 5] {
        [
            ("webhooks.max_concurrency", self.max_concurrency as u64, 1..=1024),
            (
                "webhooks.max_concurrency_per_endpoint",
                self.max_concurrency_per_endpoint as u64,
                1..=256,
            ),
            ("webhooks.connect_timeout_ms", self.connect_timeout_ms, 1..=60_000),
            ("webhooks.timeout_ms", self.timeout_ms, 1..=120_000),
            ("webhooks.retry_after_max_s", self.retry_after_max_s, 0..=WEEK_S),
        ]
    }
}

impl WebhookEndpoint {
    fn parse(&self) -> Result<Endpoint, String> {
        // A misspelt event would never come, and nobody would know.
        let known = |event: &&String| EVENTS.contains(&event.as_str());
        if let Some(unknown) = self.events.iter().flatten().find(|event| !known(event)) {
            return Err(format!("there is no event {unknown:?}, only {}", EVENTS.join(", ")));
        }
        let new = NewEndpoint {
            name: self.name.clone(),
            url: self.url.clone(),
            secrets: self.secrets()?,
            events: self.events.clone(),
            allow_insecure: self.allow_insecure,
        };
        Endpoint::parse(new).map_err(|error| error.to_string())
    }

    fn secrets(&self) -> Result<Vec<Secret>, String> {
        if self.secret_file.as_os_str().is_empty() {
            return Err("secret_file is needed".into());
        }
        let path = locate(&self.secret_file);
        let failed = |what: &str| format!("secret_file: {}: {what}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| failed(&error.to_string()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| Secret::parse(line).map_err(|error| failed(&error.to_string()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn webhooks(folder: &std::path::Path, secrets: &str) -> Webhooks {
        let secret_file = folder.join("secret");
        fs::write(&secret_file, secrets).unwrap();
        let endpoint = WebhookEndpoint {
            name: "case-tool".into(),
            url: "https://cases.example/hook".into(),
            secret_file,
            ..WebhookEndpoint::default()
        };
        Webhooks { endpoints: vec![endpoint], ..Webhooks::default() }
    }

    #[test]
    fn defaults_are_those_of_the_crate() {
        let (ours, theirs) = (Webhooks::default().config(), Config::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn secrets_are_read_from_the_file_one_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let two = webhooks(folder.path(), &format!("{SECRET}\n\n  {SECRET}\n"));
        assert_eq!(two.endpoints().unwrap().len(), 1);
        assert!(two.problems().is_empty());
    }

    #[test]
    fn problems_name_the_file_and_never_what_stands_in_it() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "hunter2-hunter2", "whsec_c2hvcnQ="] {
            let problems = webhooks(folder.path(), text).problems();
            assert!(problems[0].contains("webhooks.endpoints[0]"), "{problems:?}");
            assert!(!problems[0].contains("hunter2") && !problems[0].contains("c2hv"));
        }
        let absent = WebhookEndpoint { secret_file: "/none/such".into(), ..Default::default() };
        let settings = Webhooks { endpoints: vec![absent], ..Webhooks::default() };
        assert!(settings.problems()[0].contains("/none/such"));
    }

    #[test]
    fn an_event_that_never_comes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = webhooks(folder.path(), SECRET);
        settings.endpoints[0].events = Some(vec!["decision.reported".into()]);
        assert!(settings.problems().is_empty());
        settings.endpoints[0].events = Some(vec!["decision.done".into()]);
        assert!(settings.problems()[0].contains("decision.final"));
    }

    #[test]
    fn two_endpoints_of_one_name_and_endless_waits_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = webhooks(folder.path(), SECRET);
        settings.endpoints.push(settings.endpoints[0].clone());
        settings.retry_waits_s = vec![u64::MAX; 21];
        assert_eq!(settings.problems().len(), 3);
    }
}
