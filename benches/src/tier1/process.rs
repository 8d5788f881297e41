//! Processes that are measured: started, looked at, and ended whatever happens.

use std::{
    collections::HashSet,
    fs::File,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use procfs::{
    CurrentSI, KernelStats,
    process::{Process, all_processes},
};
use rustix::{
    process::{Pid, Signal, kill_process},
    time::{ClockId, clock_gettime},
};
use tempfile::TempDir;

/// How long a server may take to end by itself.
const END_MAX: Duration = Duration::from_secs(5);
/// How long a server may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(90);
/// How much of a log is shown when something failed.
const LOG_TAIL: usize = 2_000;

/// Processor time that this process has used so far: here, that of the load generator.
#[must_use]
pub fn own_cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// Processor time that the whole machine has spent so far, on whomever.
///
/// # Errors
/// When the kernel does not tell.
pub fn machine_cpu() -> anyhow::Result<Duration> {
    let all = KernelStats::current()?.total;
    let interrupts = all.irq.unwrap_or(0) + all.softirq.unwrap_or(0) + all.steal.unwrap_or(0);
    Ok(ticks(all.user + all.nice, all.system + interrupts))
}

/// What the machine does while something is measured.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    own: Duration,
    machine: Duration,
}

/// Processor time since a [`Watch`] began.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    /// How long it was watched.
    pub elapsed: Duration,
    /// This process.
    pub own: Duration,
    /// Everything.
    pub machine: Duration,
}

impl Watch {
    /// Begins now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { started: Instant::now(), own: own_cpu(), machine: machine_cpu()? })
    }

    /// Ends now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn end(self) -> anyhow::Result<Watched> {
        Ok(Watched {
            elapsed: self.started.elapsed(),
            own: own_cpu().saturating_sub(self.own),
            machine: machine_cpu()?.saturating_sub(self.machine),
        })
    }
}

impl Watched {
    /// The share of all cores that neither this process nor a server that used `server` had: who
    /// measures beside others measures little.
    #[must_use]
    pub fn others(&self, server: Duration) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let others = self.machine.saturating_sub(self.own).saturating_sub(server);
        others.as_secs_f64() / (self.elapsed.as_secs_f64() * cores as f64)
    }
}

fn ticks(user: u64, system: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs_f64((user + system) as f64 / per_second as f64)
}

/// A port that nobody listens on.
///
/// # Errors
/// When the loopback interface has none left.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// What the processes of a server take together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// Memory in bytes: resident and not shared with a file.
    pub memory: u64,
}

/// A server in its own folder; ended when dropped.
pub struct Server {
    /// What it is called in tables.
    pub name: String,
    /// Its address, without a slash at the end.
    pub base: String,
    child: Child,
    log: PathBuf,
    folder: TempDir,
    launched: Instant,
}

impl Server {
    /// Starts a server. `command` is told the port and a folder for its data.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        name: &str,
        command: impl FnOnce(u16, &std::path::Path) -> Command,
    ) -> anyhow::Result<Self> {
        let port = free_port()?;
        let folder = TempDir::with_prefix("weir-bench-")?;
        let log = folder.path().join("log");
        let file = File::create(&log)?;
        let mut command = command(port, folder.path());
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let launched = Instant::now();
        let child = command.spawn().with_context(|| format!("{name}: {command:?}"))?;
        let base = format!("http://127.0.0.1:{port}");
        Ok(Self { name: name.to_owned(), base, child, log, folder, launched })
    }

    /// Asks until the answer is 200, and answers how long that took from the start on.
    ///
    /// # Errors
    /// When the server ends or never answers.
    pub async fn wait(&mut self, request: reqwest::RequestBuilder) -> anyhow::Result<Duration> {
        loop {
            let attempt = request.try_clone().context("a request that can be sent once only")?;
            if attempt.send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(self.launched.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.log_tail());
            }
            if self.launched.elapsed() > START_MAX {
                bail!("{} does not answer:\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The end of what the server printed.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let skip = text.chars().count().saturating_sub(LOG_TAIL);
        text.chars().skip(skip).collect()
    }

    /// Where the server keeps its data.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What the server and all that it started have used.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let mut usage = Usage::default();
        for pid in self.tree() {
            let Ok(process) = Process::new(pid) else { continue };
            let (Ok(stat), Ok(status)) = (process.stat(), process.status()) else { continue };
            usage.cpu += ticks(stat.utime, stat.stime);
            usage.memory += status.rssanon.unwrap_or(0) * 1024;
        }
        Ok(usage)
    }

    /// The server's processes, itself first.
    fn tree(&self) -> Vec<i32> {
        let root = i32::try_from(self.child.id()).unwrap_or(0);
        let mut parents: Vec<(i32, i32)> = all_processes()
            .into_iter()
            .flatten()
            .filter_map(|process| process.ok()?.stat().ok())
            .map(|stat| (stat.pid, stat.ppid))
            .collect();
        // Children have larger numbers than their parents, unless numbers have wrapped round.
        parents.sort_unstable();
        let mut known = HashSet::from([root]);
        let mut tree = vec![root];
        for (pid, parent) in parents {
            if known.contains(&parent) && known.insert(pid) {
                tree.push(pid);
            }
        }
        tree
    }

    fn signal(pids: &[i32], signal: Signal) {
        for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // One that has ended already is fine.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let tree = self.tree();
        Self::signal(&tree[..1], Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < END_MAX && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            Self::signal(&tree, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
