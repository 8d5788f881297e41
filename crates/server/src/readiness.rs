//! Whether the service takes requests.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// Where the service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Rebuilding velocity.
    Warming,
    /// Taking requests.
    Ready,
    /// `/readyz` says no, so that balancers look elsewhere; requests are still answered.
    Draining,
    /// Finishing what is in flight.
    Stopping,
}

const PHASES: [Phase; 4] = [Phase::Warming, Phase::Ready, Phase::Draining, Phase::Stopping];

/// The phase, shared. It only moves forward.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    phase: AtomicU8,
    stopping: CancellationToken,
}

impl Readiness {
    pub(crate) fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// Moves on; a phase already passed changes nothing.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        if phase == Phase::Stopping {
            self.stopping.cancel();
        }
    }

    /// Cancelled when streams have to end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Why `/readyz` says no; `None` when it need not.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self.phase() {
            Phase::Warming => Some("warming: velocity is being rebuilt from the ledger"),
            Phase::Ready => None,
            Phase::Draining | Phase::Stopping => Some("draining: the service is shutting down"),
        }
    }

    /// Why requests are refused; `None` when they are not.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self.phase() {
            Phase::Warming | Phase::Stopping => self.reason(),
            Phase::Ready | Phase::Draining => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_warm_up_does_not_undo_a_shutdown() {
        let readiness = Readiness::default();
        readiness.enter(Phase::Stopping);
        readiness.enter(Phase::Ready);
        assert_eq!(readiness.phase(), Phase::Stopping);
        assert!(readiness.stopping().is_cancelled());
    }
}
