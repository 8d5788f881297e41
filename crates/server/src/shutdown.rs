//! Signals, and what is left when the grace period ends.

/// Why the service did not end cleanly.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The grace period was over first.
    #[error("the grace period ended with {requests} requests in flight{}", if *.ledger_open { " and the ledger not yet closed" } else { "" })]
    Unfinished {
        /// Requests that were cut off.
        requests: i64,
        /// Whether writes may still have been waiting.
        ledger_open: bool,
    },
    /// Velocity could not be rebuilt from the ledger.
    #[error("could not rebuild velocity from the ledger")]
    Warming(#[source] ledger::LedgerError),
}

/// Ends with the first SIGTERM or SIGINT. Installs its handlers at once, not when polled.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
