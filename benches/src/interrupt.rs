//! Ends a measurement in order when its process is told to.

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

/// Measures until it is done, or the process is interrupted or terminated: then what is measured
/// is dropped, and the servers end with the measurements that own them.
///
/// # Errors
/// Those of the measurement, and that it was stopped.
pub async fn unless_stopped(
    measurement: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        finished = measurement => finished,
        _ = terminate.recv() => bail!("stopped"),
        _ = interrupt.recv() => bail!("stopped"),
    }
}
