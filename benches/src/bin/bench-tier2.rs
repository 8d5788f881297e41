//! `bench-tier2`: see `--help`.

use std::{io::stdout, process::ExitCode};

use anyhow::bail;
use benches::tier2::{bench, settings::Settings};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// One thread: who asks shares the cores with who answers and must not take more.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings::parse().effective();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut out = stdout();
    tokio::select! {
        finished = bench::run(&settings, &mut out) => finished?,
        // The servers end with the measurements that own them.
        _ = terminate.recv() => bail!("stopped"),
        _ = interrupt.recv() => bail!("stopped"),
    }
    Ok(ExitCode::SUCCESS)
}
