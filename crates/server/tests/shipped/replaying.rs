//! Decisions of the shipped models, computed again from their records.

use futures::future::join_all;
use ledger::{Config, DecisionFilter, Ledger, StoreConfig};
use prometheus::Registry;
use screening::{Mode, ScreenOptions};

use crate::{
    soon,
    support::{Cascade, cases, shipped},
};

/// Enough of the samples that each way through the cascade is taken.
const CASES: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn recorded_decisions_are_computed_again_to_the_byte_tier_2_included() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let config = Config::new(StoreConfig::Sqlite { path });
    let ledger = Ledger::open(config, &Registry::new()).await.unwrap();
    let cascade = Cascade::with_ledger(shipped(), Some(ledger.clone()));
    for (n, case) in cases().into_iter().take(CASES).enumerate() {
        cascade.release_labels(&case);
        // Every other escalated case is promised and completed later.
        let mode = if n % 2 == 0 { Mode::Async } else { Mode::Sync };
        let options = ScreenOptions { mode, ..ScreenOptions::by(soon()) };
        cascade.screener.screen(case.transaction, options).await.unwrap();
    }
    let mut completed = 0;
    for work in ledger.claim(1000).await.unwrap() {
        cascade.screener.fulfil(work).await.unwrap();
        completed += 1;
    }
    let filter = DecisionFilter { limit: 1000, ..DecisionFilter::default() };
    let stored = ledger.decisions(filter).await.unwrap().items;
    assert_eq!(stored.len(), CASES);
    let policy = cascade.screener.policies().current();
    let again = stored.iter().map(|stored| cascade.screener.recompute(stored, &policy));
    let mut analysed = 0;
    for (stored, recomputed) in stored.iter().zip(join_all(again).await) {
        let recomputed = recomputed.unwrap();
        assert!(recomputed.agrees_with(stored), "{stored:#?}\n{recomputed:#?}");
        analysed += usize::from(recomputed.current().analysis.is_some());
    }
    assert!(completed >= 5 && analysed > completed, "{completed} completed of {analysed} analysed");
    assert_eq!(ledger.verify(|_| {}).await.unwrap().fault_count, 0);
    ledger.close().await;
}
