//! How fast decisions are recorded, and what recording adds to an answer.
//!
//! ```text
//! cargo run --release -p ledger --example append -- --store sqlite --path /tmp/bench
//! cargo run --release -p ledger --example append -- --store postgres://user@host/db --path /tmp/bench
//! ```
//!
//! Two loads follow one another on a ledger of their own: as many writers as asked, each with its
//! next decision as soon as the last is durable; then decisions at a fixed rate, whatever the
//! ledger does. A bare flush of the file system under `--path` is timed beside them, at the same
//! rate, because no record can be durable sooner. For PostgreSQL that says something only where
//! the database lies on the same file system.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use domain::{
    AccountId, DecidedBy, Decision, DecisionId, DecisionStatus, Outcome, PackageRef, PolicyRef,
    RiskLevel, Score, Screening, StageTimings,
};
use jiff::Timestamp;
use ledger::{Config, Ledger, NewDecision, StoreConfig};
use prometheus::Registry;
use rand::RngExt;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Appends decisions and says how long that took.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// `sqlite`, or the URL of an empty PostgreSQL database.
    #[arg(long, default_value = "sqlite")]
    store: String,
    /// A folder on the file system to measure; SQLite's file goes there, under a new name.
    #[arg(long)]
    path: PathBuf,
    /// Writers that append one decision after the other.
    #[arg(long, default_value_t = 128)]
    writers: usize,
    /// How long each load lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Record and response together; a fifth of it is the response.
    #[arg(long, default_value_t = 7_500)]
    payload_bytes: usize,
    /// Decisions each second of the second load.
    #[arg(long, default_value_t = 200)]
    rate: u32,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args = Args::parse();
    let mut output = io::stdout();
    let flushes = tokio::task::spawn_blocking({
        let args = args.clone();
        move || flushes(&args)
    });
    writeln!(output, "{}", Figures::of("bare flush, at the rate", flushes.await??))?;
    let ledger = Ledger::open(config(&args)?, &Registry::new()).await?;
    let source = Source::new(args.payload_bytes)?;
    // What is prepared once is no part of the measure.
    for _ in 0..args.writers {
        ledger.append(source.decision()).await?;
    }
    let begun = Instant::now();
    let saturated = saturate(&args, &ledger, &source).await?;
    let per_second = saturated.len() as f64 / begun.elapsed().as_secs_f64();
    writeln!(output, "{} writers: {per_second:.0} decisions/s", args.writers)?;
    writeln!(output, "{}", Figures::of("append, saturated", saturated))?;
    let paced = pace(&args, &ledger, &source).await?;
    writeln!(output, "{}", Figures::of("append, at the rate", paced))?;
    let begun = Instant::now();
    let verification = ledger.verify(|_| {}).await?;
    writeln!(
        output,
        "verified {} entries in {:.2} s: {} faults",
        verification.entries,
        begun.elapsed().as_secs_f64(),
        verification.fault_count
    )?;
    ledger.close().await;
    Ok(())
}

fn config(args: &Args) -> Result<Config, Error> {
    let store = match args.store.as_str() {
        "sqlite" => {
            StoreConfig::Sqlite { path: args.path.join(format!("{}.sqlite", Uuid::now_v7())) }
        }
        url => StoreConfig::Postgres { url: url.parse()? },
    };
    Ok(Config::new(store))
}

/// Every writer's times from asking to durable.
async fn saturate(args: &Args, ledger: &Ledger, source: &Source) -> Result<Vec<Duration>, Error> {
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let mut writers = JoinSet::new();
    for _ in 0..args.writers {
        let (ledger, source) = (ledger.clone(), source.clone());
        writers.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                times.push(append(&ledger, &source).await?);
            }
            Ok::<_, Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(written) = writers.join_next().await {
        times.extend(written??);
    }
    Ok(times)
}

/// The times of decisions that come at a fixed rate.
async fn pace(args: &Args, ledger: &Ledger, source: &Source) -> Result<Vec<Duration>, Error> {
    let mut ticks = interval(Duration::from_secs(1) / args.rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut appends = JoinSet::new();
    for _ in 0..u64::from(args.rate) * args.seconds {
        ticks.tick().await;
        let (ledger, source) = (ledger.clone(), source.clone());
        appends.spawn(async move { append(&ledger, &source).await });
    }
    let mut times = Vec::new();
    while let Some(time) = appends.join_next().await {
        times.push(time??);
    }
    Ok(times)
}

async fn append(ledger: &Ledger, source: &Source) -> Result<Duration, Error> {
    let decision = source.decision();
    let begun = Instant::now();
    ledger.append(decision).await?;
    Ok(begun.elapsed())
}

/// The times of writing as many bytes to the end of a file and flushing them, at the rate.
fn flushes(args: &Args) -> Result<Vec<Duration>, io::Error> {
    fs::create_dir_all(&args.path)?;
    let path = args.path.join(format!("{}.flush", Uuid::now_v7()));
    let times = flush_often(args, &path);
    fs::remove_file(path)?;
    times
}

fn flush_often(args: &Args, path: &Path) -> Result<Vec<Duration>, io::Error> {
    let mut file = fs::File::create(path)?;
    let bytes = vec![b'x'; args.payload_bytes];
    let each = Duration::from_secs(1) / args.rate.max(1);
    let mut times = Vec::new();
    for _ in 0..u64::from(args.rate) * args.seconds.min(5) {
        let begun = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        times.push(begun.elapsed());
        std::thread::sleep(each.saturating_sub(begun.elapsed()));
    }
    Ok(times)
}

/// Many times, in short.
struct Figures {
    what: &'static str,
    count: usize,
    median: Duration,
    p99: Duration,
    longest: Duration,
}

impl Figures {
    fn of(what: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len() as f64 * share) as usize;
            times.get(index).or(times.last()).copied().unwrap_or_default()
        };
        Self { what, count: times.len(), median: at(0.5), p99: at(0.99), longest: at(1.0) }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "{}: {} times, median {:.3} ms, p99 {:.3} ms, longest {:.3} ms",
            self.what,
            self.count,
            ms(self.median),
            ms(self.p99),
            ms(self.longest)
        )
    }
}

/// Where decisions come from: each is new, and its text does not compress.
#[derive(Debug, Clone)]
struct Source {
    decision: Decision,
    /// As many accounts as a day may see.
    accounts: Arc<[AccountId]>,
    noise: Arc<str>,
    payload_bytes: usize,
}

impl Source {
    fn new(payload_bytes: usize) -> Result<Self, Error> {
        let mut rng = rand::rng();
        let noise: String =
            (0..payload_bytes * 2).map(|_| char::from(b'a' + rng.random_range(0..26))).collect();
        let package =
            PackageRef { name: "bench".into(), version: "1".into(), sha256: "00".repeat(32) };
        let decision = Decision {
            decision_id: DecisionId(Uuid::nil()),
            transaction_id: "none".parse()?,
            decided_at: Timestamp::now(),
            outcome: Outcome::Approve,
            status: DecisionStatus::Final,
            decided_by: DecidedBy::Screening,
            score: Score::new(0.25)?,
            risk_level: RiskLevel::Low,
            reasons: Vec::new(),
            screening: Screening { score: Score::new(0.25)?, package },
            analysis: None,
            escalated: None,
            degraded: None,
            provisional: None,
            policy: PolicyRef { version: "1".into(), sha256: "00".repeat(32) },
            timings_ms: StageTimings::default(),
        };
        let accounts: Result<Vec<AccountId>, _> =
            (0..10_000).map(|n| format!("account-{n}").parse()).collect();
        Ok(Self { decision, accounts: accounts?.into(), noise: noise.into(), payload_bytes })
    }

    fn decision(&self) -> NewDecision {
        let id = Uuid::now_v7();
        let mut rng = rand::rng();
        let start = rng.random_range(0..=self.payload_bytes);
        let account_id = self.accounts[rng.random_range(0..self.accounts.len())].clone();
        let text = self.noise.get(start..start + self.payload_bytes).unwrap_or_default();
        let (response, record) = text.split_at(self.payload_bytes / 5);
        let mut decision = self.decision.clone();
        decision.decision_id = DecisionId(id);
        decision.decided_at = Timestamp::now();
        if let Ok(transaction_id) = id.to_string().parse() {
            decision.transaction_id = transaction_id;
        }
        NewDecision {
            event_time: decision.decided_at,
            decision,
            account_id,
            record: record.to_owned(),
            response: response.to_owned(),
            idempotency: None,
            promise: None,
            audited: false,
        }
    }
}
