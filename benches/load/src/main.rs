//! `weir-load`, the load generator on its own.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "weir-load", version)]
struct Cli {
    #[command(flatten)]
    args: load::cli::Args,
}

fn main() -> ExitCode {
    load::cli::run(&Cli::parse().args).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "weir-load: {error:#}");
        ExitCode::FAILURE
    })
}
