//! `weir load`: puts a running server under load; the generator is a crate of its own.

use std::process::ExitCode;

pub(crate) use load::cli::Args;

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    load::cli::run(args)
}
