//! The other servers, each with its best settings.

use std::{path::Path, process::Command, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use serde_json::json;

use super::{
    http::{Load, Subject, measure},
    process::Server,
    settings::Settings,
    texts::Text,
};

/// How many callers try a peer's settings.
const TRIAL_CONNECTIONS: usize = 32;
const SCRIPTS: &str = "benches/tier1/peers";

/// A server with one set of settings.
#[derive(Debug, Clone, Copy)]
enum Peer {
    /// FastAPI in so many processes with so many sessions each.
    FastApi { processes: usize, sessions: usize },
    /// mosec with one process a core.
    Mosec { batch: usize, wait_ms: usize },
}

impl Peer {
    fn describe(self) -> String {
        match self {
            Self::FastApi { processes, sessions } => {
                format!("fastapi: {processes} processes, {sessions} sessions each")
            }
            Self::Mosec { batch, wait_ms } => {
                format!("mosec: batches up to {batch}, waits up to {wait_ms} ms")
            }
        }
    }

    fn command(self, settings: &Settings, package: &Path, port: u16, folder: &Path) -> Command {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new(&settings.peers_python);
        // Thread pools of the numerical libraries would fight for the cores.
        command.env("PACKAGE", package).env("OMP_NUM_THREADS", "1").env("TMPDIR", folder);
        let port = port.to_string();
        match self {
            Self::FastApi { processes, sessions } => {
                command.env("SESSIONS", sessions.to_string());
                command.args(["-m", "uvicorn", "--app-dir", SCRIPTS, "fastapi_server:app"]);
                command.args(["--host", "127.0.0.1", "--port", &port]);
                command.args(["--loop", "uvloop", "--http", "httptools"]);
                command.args(["--no-access-log", "--log-level", "warning"]);
                command.args(["--workers", &processes.to_string()]);
            }
            Self::Mosec { batch, wait_ms } => {
                command.env("PROCESSES", cores.to_string());
                command.env("BATCH", batch.to_string());
                command.env("WAIT_MS", wait_ms.to_string());
                command.arg(format!("{SCRIPTS}/mosec_server.py"));
                command.args(["--address", "127.0.0.1", "--port", &port]);
                // Overload must not end in errors: its queue holds whatever is sent.
                command.args(["--timeout", "60000", "--capacity", "4096"]);
                command.args(["--log-level", "warning"]);
            }
        }
        command
    }
}

/// A peer that runs.
pub struct Running {
    /// Its processes.
    pub server: Server,
    /// How it is asked.
    pub subject: Subject,
    /// Its settings in words.
    pub settings: String,
}

/// Starts both peers on a package, each with those settings that answered most in a short trial.
///
/// # Errors
/// When one of them cannot be started.
pub async fn start(
    settings: &Settings,
    client: &reqwest::Client,
    package: &Path,
    texts: &[Text],
    references: &Arc<[f64]>,
) -> anyhow::Result<Vec<Running>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let fastapi = [
        Peer::FastApi { processes: cores, sessions: 1 },
        Peer::FastApi { processes: 1, sessions: cores },
    ];
    let mosec = [
        Peer::Mosec { batch: 1, wait_ms: 0 },
        Peer::Mosec { batch: 2, wait_ms: 1 },
        Peer::Mosec { batch: 4, wait_ms: 1 },
    ];
    let mut best = Vec::new();
    for (name, candidates) in [("fastapi plain", &fastapi[..]), ("mosec plain", &mosec[..])] {
        let mut ahead: Option<(f64, Running)> = None;
        for peer in candidates {
            let running = launch(*peer, name, settings, client, (package, texts, references));
            let running = running.await.with_context(|| peer.describe())?;
            let load = Load::closed(TRIAL_CONNECTIONS, settings.window(), 0);
            let rate = measure(&running.server, &running.subject, load).await?.per_second;
            if ahead.as_ref().is_none_or(|(best, _)| rate > *best) {
                ahead = Some((rate, running));
            }
        }
        best.extend(ahead.map(|(_, running)| running));
    }
    Ok(best)
}

async fn launch(
    peer: Peer,
    name: &str,
    settings: &Settings,
    client: &reqwest::Client,
    (package, texts, references): (&Path, &[Text], &Arc<[f64]>),
) -> anyhow::Result<Running> {
    let mut server =
        Server::start(name, |port, folder| peer.command(settings, package, port, folder))?;
    let body = |text: &Text| json!({"text": text.rendered}).to_string();
    let url = format!("{}/inference", server.base);
    let first = texts.first().map(body).unwrap_or_default();
    server.wait(client.post(&url).body(first)).await?;
    let subject = Subject {
        name: name.to_owned(),
        url,
        bodies: texts.iter().map(|text| Bytes::from(body(text))).collect(),
        references: Arc::clone(references),
        score_after: r#""score":"#,
        checked: true,
        deadline: None,
    };
    Ok(Running { server, subject, settings: peer.describe() })
}
