//! The service as a process that is killed.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

/// Everything a start needs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The binary.
    pub weir: PathBuf,
    /// Ledger, policy and log lie here.
    pub folder: PathBuf,
    /// A file with a PostgreSQL URL; SQLite in the folder without one.
    pub url_file: Option<PathBuf>,
}

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever pays more is looked at by tier 2.
const POLICY: &str = r#"
version = "crash-1"
[thresholds]
escalate = 0.99
decline = 1.0
[analysis]
challenge = 0.15
review = 0.35
decline = 0.80
may_lower_below = 1.0
[fallback]
outcome = "review"
[[rules]]
id = "large"
when = "derived.amount > 500.0"
escalate = true
"#;

/// A running service. Dropped, it is killed.
pub struct Service {
    child: Child,
    /// Where it answers.
    pub address: String,
}

impl Setup {
    /// Writes the policy.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn prepare(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        std::fs::write(self.folder.join("policy.toml"), POLICY)?;
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.weir);
        command
            .env("WEIR_DATA_DIR", &self.folder)
            .env("WEIR_POLICY__FILE", self.folder.join("policy.toml"))
            .env("WEIR_ANALYSIS__NARRATIVE", "off")
            .env("WEIR_ANALYSIS__PROMISED_CONCURRENCY", "8")
            // Leases of the killed must run out within a round.
            .env("WEIR_LEDGER__LEASE_MS", "1000")
            .env("WEIR_LOG__LEVEL", "warn");
        if let Some(file) = &self.url_file {
            command.env("WEIR_LEDGER__URL_FILE", file);
        }
        command
    }

    /// Starts the service and waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in time.
    pub async fn start(&self) -> anyhow::Result<Service> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let child = self
            .command()
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.weir.display()))?;
        let address = format!("http://127.0.0.1:{port}");
        let mut service = Service { child, address };
        let begun = Instant::now();
        let client = reqwest::Client::new();
        loop {
            if let Some(status) = service.child.try_wait()? {
                bail!("the service ended with {status}; see {}", self.log().display());
            }
            let ready = client.get(format!("{}/readyz", service.address)).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(service);
            }
            if begun.elapsed() > PATIENCE {
                bail!("the service is not ready; see {}", self.log().display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Verifies the chain of the ledger at rest.
    ///
    /// # Errors
    /// When it does not verify; with what the command said.
    pub fn verify(&self) -> anyhow::Result<()> {
        let output = self.command().args(["ledger", "verify"]).output()?;
        if !output.status.success() {
            bail!(
                "the chain does not verify:\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Service {
    /// `kill -9`.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the service ended by itself with {status}");
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary beside this one, unless told.
#[must_use]
pub fn default_binary() -> PathBuf {
    Path::new("target/release/weir").to_owned()
}
