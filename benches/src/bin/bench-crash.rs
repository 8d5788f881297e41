//! `bench-crash`: see `--help`.

use std::io::stdout;

use benches::{
    crash::rounds::{Settings, run},
    interrupt::unless_stopped,
};
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    unless_stopped(run(&settings, &mut stdout())).await
}
