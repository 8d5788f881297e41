//! Logs. Field names are written once, in [`crate::middleware`]; bodies are never logged.

use std::{
    io::{self, IsTerminal as _},
    str::FromStr,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::settings::{LOG_VARIABLE, Log, LogFormat};

/// Sends log lines to standard error from now on. A second call changes nothing.
pub(crate) fn init(log: &Log) {
    let directives = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| log.level.clone());
    let filter = filter(&directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    // Fails only when a subscriber is there already, as in tests.
    let _ = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // Without the message: it may quote what a caller sent.
        tracing::error!(place, "panic");
    }));
}

/// Parses a level or a list of directives, and quietens what only its authors want to read.
pub(crate) fn filter(directives: &str) -> Result<EnvFilter, String> {
    for directive in directives.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        // EnvFilter takes a misspelt level for the name of a target.
        LevelFilter::from_str(level.trim()).map_err(|_| format!("{level:?} is no level"))?;
    }
    let quiet = ["ort=warn", "sqlx=warn", "hyper=info", "h2=info"];
    let mut filter = EnvFilter::try_new(directives).map_err(|error| error.to_string())?;
    for directive in quiet {
        let target = directive.split('=').next().unwrap_or_default();
        if !directives.contains(target)
            && let Ok(directive) = directive.parse()
        {
            filter = filter.add_directive(directive);
        }
    }
    Ok(filter)
}
