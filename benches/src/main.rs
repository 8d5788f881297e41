//! `bench-tier1`: see `--help`.

use std::io::stdout;

use benches::{
    interrupt::unless_stopped,
    tier1::{bench, settings::Settings},
};
use clap::Parser;

/// One thread: the load generator shares the cores with the servers and must not take more.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse().effective();
    unless_stopped(bench::run(&settings, &mut stdout())).await
}
