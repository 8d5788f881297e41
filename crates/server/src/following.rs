//! Velocity follows the ledger where other instances write to it: what they decide, observe and
//! label counts here as well, a moment later.

use std::{sync::Arc, time::Duration};

use ledger::{Ledger, LedgerError};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use velocity::VelocityStore;

use crate::warming::{Warmed, replay_entry};

/// How far behind the others' transactions may count.
const EVERY: Duration = Duration::from_millis(250);

/// Reads on where the warm-up ended.
pub(crate) struct Follower {
    pub(crate) ledger: Ledger,
    pub(crate) velocity: Arc<VelocityStore>,
    /// The last entry that counts already.
    pub(crate) seen: i64,
}

/// Follows until stopped. What was counted here already is not counted again.
pub(crate) async fn run(mut follower: Follower, stop: CancellationToken) {
    let mut ticker = interval(EVERY);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticker.tick() => {}
        }
        if let Err(error) = follower.catch_up().await {
            tracing::warn!(%error, "velocity does not hear of the other instances");
        }
    }
}

impl Follower {
    async fn catch_up(&mut self) -> Result<(), LedgerError> {
        let mut replay = self.ledger.replay_after(self.seen).await?;
        loop {
            let page = replay.next_page().await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut counted = Warmed::default();
            for entry in page {
                let seq = entry.seq();
                replay_entry(&self.ledger, &self.velocity, entry, &mut counted).await?;
                self.seen = seq;
            }
        }
    }
}
