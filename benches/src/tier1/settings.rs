//! What is measured, on what, and for how long.

use std::{path::Path, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// Measures what tier 1 costs against the hardware's limit and against other servers, in turn in
/// one run.
///
/// Must be started in the repository's root, after `make build`. Everything runs on the loopback
/// interface and ends by itself.
///
/// Examples:
///   bench-tier1
///   bench-tier1 --quick --model shipped
///   bench-tier1 --only weir
///   bench-tier1 --only bare,online,closed --rounds 9
#[derive(Debug, Clone, Parser)]
#[command(name = "bench-tier1", verbatim_doc_comment)]
pub struct Settings {
    /// Which model.
    #[arg(long, value_enum, default_value = "both")]
    pub model: ModelChoice,
    /// How often everything is measured; medians are printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How long one measurement takes; those of tail latency take twice as long.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Two short rounds: shows that everything works, measures little.
    #[arg(long)]
    pub quick: bool,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// At most so many different texts.
    #[arg(long, default_value_t = 4096)]
    pub texts: usize,
    /// Where the graphs of both models lie, `MODEL/{plain,fast}` each.
    #[arg(long, default_value = "target/fixtures/tier1")]
    pub graphs: PathBuf,
    /// The server.
    #[arg(long, default_value = "target/release/weir")]
    pub weir: PathBuf,
    /// The Python of the peers; `benches/tier1/peers/environment` makes it.
    #[arg(long, default_value = ".tools/tier1-peers/bin/python")]
    pub peers_python: PathBuf,
    /// Where all samples are written as JSON.
    #[arg(long, default_value = "target/bench-tier1.json")]
    pub json: PathBuf,
}

/// Which models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelChoice {
    /// The one in `models/screening`.
    Shipped,
    /// One of the dimensions of DistilBERT, with random weights.
    FullSize,
    /// One after the other.
    Both,
}

/// A part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The graph alone, all texts at hand.
    Bare,
    /// The graph alone, batching only what waits.
    Online,
    /// Closed loops.
    Closed,
    /// Open loops at half and four fifths of the limit.
    Open,
    /// Three times what the machine can do.
    Overload,
    /// Thousands of connections.
    Connections,
    /// Decisions that are recorded.
    Ledger,
    /// Start-up time, and memory for each worker.
    Footprint,
    /// The other servers.
    Peers,
    /// Everything but the other servers.
    Weir,
}

/// One model, whose graph is there in two versions.
#[derive(Debug, Clone)]
pub struct Model {
    /// What it is called in tables.
    pub name: &'static str,
    /// The graph as it was exported and quantized.
    pub plain: PathBuf,
    /// The graph that the product runs.
    pub fast: PathBuf,
}

/// The package that is in the repository.
const SHIPPED: &str = "models/screening";

impl Settings {
    /// The settings with `--quick` applied.
    #[must_use]
    pub fn effective(mut self) -> Self {
        if self.quick {
            (self.rounds, self.seconds) = (2, 0.7);
        }
        self.seconds = self.seconds.clamp(0.1, 600.0);
        self.texts = self.texts.max(64);
        self
    }

    /// Whether a part was asked for.
    #[must_use]
    pub fn wants(&self, part: Part) -> bool {
        let all = self.only.is_empty();
        let weir = part != Part::Peers && self.only.contains(&Part::Weir);
        all || weir || self.only.contains(&part)
    }

    /// How long one measurement of throughput takes.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// The models to measure. The shipped package stands in for versions that were not made.
    #[must_use]
    pub fn models(&self) -> Vec<Model> {
        let mut models = Vec::new();
        if self.model != ModelChoice::FullSize {
            models.push(self.model_in("shipped").unwrap_or_else(|| Model {
                name: "shipped",
                plain: SHIPPED.into(),
                fast: SHIPPED.into(),
            }));
        }
        if self.model != ModelChoice::Shipped {
            models.extend(self.model_in("full-size"));
        }
        models
    }

    fn model_in(&self, name: &'static str) -> Option<Model> {
        let version = |version: &str| {
            let dir = self.graphs.join(name).join(version);
            dir.join("package.toml").is_file().then_some(dir)
        };
        Some(Model { name, plain: version("plain")?, fast: version("fast")? })
    }

    /// The history that warms velocity.
    #[must_use]
    pub fn history(&self) -> &Path {
        Path::new("samples/history.ndjson")
    }

    /// The transactions that are screened.
    #[must_use]
    pub fn payments(&self) -> &Path {
        Path::new("samples/payments.ndjson")
    }
}
