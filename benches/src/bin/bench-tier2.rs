//! `bench-tier2`: see `--help`.

use std::io::stdout;

use benches::{
    interrupt::unless_stopped,
    tier2::{bench, settings::Settings},
};
use clap::Parser;

/// One thread: who asks shares the cores with who answers and must not take more.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse().effective();
    unless_stopped(bench::run(&settings, &mut stdout())).await
}
