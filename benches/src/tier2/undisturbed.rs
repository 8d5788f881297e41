//! Measurements are repeated until nobody else used the machine meanwhile.
//!
//! llama.cpp's threads wait for each other after every operator, spinning: with a core taken away
//! it was measured at a tenth of its rate, where ONNX Runtime kept half. A comparison beside other
//! work would flatter us.

use std::time::Duration;

use super::closed::Measured;
use crate::tier1::process::{Server, Watch};

/// The share of all cores that others may have.
const OTHERS_MAX: f64 = 0.05;
/// How long to wait before another attempt.
const PAUSE: Duration = Duration::from_secs(2);

/// A measurement and how far it may be believed.
#[derive(Debug, Clone, Copy)]
pub struct Undisturbed {
    /// The attempt with the least disturbance.
    pub measured: Measured,
    /// The share of all cores that neither this process nor the server had during it.
    pub others: f64,
    /// Attempts made.
    pub attempts: usize,
}

impl Undisturbed {
    /// Whether others left the machine alone.
    #[must_use]
    pub fn quiet(&self) -> bool {
        self.others <= OTHERS_MAX
    }
}

/// Measures up to `attempts` times, and stops at the first undisturbed one. `server` is the
/// process that does the work; `None` when this one does it.
///
/// # Errors
/// When measuring fails.
pub async fn undisturbed<Measure>(
    server: Option<&Server>,
    attempts: usize,
    mut measure: Measure,
) -> anyhow::Result<Undisturbed>
where
    Measure: AsyncFnMut() -> anyhow::Result<Measured>,
{
    let cpu = || server.map_or(anyhow::Ok(Duration::ZERO), |server| Ok(server.usage()?.cpu));
    let mut best: Option<Undisturbed> = None;
    for attempt in 1.. {
        let (before, watch): (Duration, Watch) = (cpu()?, Watch::start()?);
        let measured = measure().await?;
        let watched = watch.end()?;
        let others = watched.others(cpu()?.saturating_sub(before));
        if best.is_none_or(|best| others < best.others) {
            best = Some(Undisturbed { measured, others, attempts: attempt });
        }
        if let Some(found) = best
            && (found.quiet() || attempt >= attempts)
        {
            return Ok(Undisturbed { attempts: attempt, ..found });
        }
        tokio::time::sleep(PAUSE).await;
    }
    anyhow::bail!("no attempt was made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_single_attempt_is_kept_however_disturbed() {
        let mut asked = 0;
        let found = undisturbed(None, 1, async || {
            asked += 1;
            Ok(Measured { answers: 7, ..Measured::default() })
        });
        let found = found.await.expect("measured");
        assert_eq!((found.measured.answers, found.attempts), (7, 1));
        assert_eq!(asked, 1);
    }
}
