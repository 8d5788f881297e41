//! What is measured, and for how long.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// Measures what tier 2 costs against the bare graph, against itself one at a time and against
/// llama.cpp's server, in turn in one run; and what it does to tier 1.
///
/// Must be started in the repository's root, after `make build`. Everything runs on the loopback
/// interface and ends by itself.
///
/// Examples:
///   bench-tier2
///   bench-tier2 --quick
///   bench-tier2 --only decode,join
///   bench-tier2 --only reports --rounds 5 --seconds 20
#[derive(Debug, Clone, Parser)]
#[command(name = "bench-tier2", verbatim_doc_comment)]
pub struct Settings {
    /// How often everything is measured; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How long one measurement of reports takes.
    #[arg(long, default_value_t = 8.0)]
    pub seconds: f64,
    /// One short round: shows that everything works, measures little.
    #[arg(long)]
    pub quick: bool,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Where `benches/tier2/graphs/make` puts the graphs.
    #[arg(long, default_value = "target/bench/tier2")]
    pub made: PathBuf,
    /// llama.cpp's server; `benches/tier2/peers/environment` makes it.
    #[arg(long, default_value = ".tools/tier2-peers/llama-server")]
    pub llama_server: PathBuf,
    /// Weir.
    #[arg(long, default_value = "target/release/weir")]
    pub weir: PathBuf,
    /// Where all figures are written as JSON.
    #[arg(long, default_value = "target/bench-tier2.json")]
    pub json: PathBuf,
}

/// A part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Steps of the engine against steps of the bare graph.
    Decode,
    /// How long a case that joins waits.
    Join,
    /// Reports a second, alone and against llama.cpp's server.
    Reports,
    /// The shipped decoder in FP32, INT8 and INT4.
    Precision,
    /// Tier 1's latency with tier 2 idle and with tier 2 saturated.
    Shelter,
}

impl Settings {
    /// `--quick` applied.
    #[must_use]
    pub fn effective(mut self) -> Self {
        if self.quick {
            self.rounds = 1;
            self.seconds = self.seconds.min(3.0);
        }
        self
    }

    /// Whether a part is asked for.
    #[must_use]
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// How long one measurement takes.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}
