//! Scores labelled files as `weir screen` would, in event order.

use std::collections::{BTreeMap, HashMap};

use domain::{AccountId, TruthLabel};
use jiff::Timestamp;
use prometheus::Registry;
use screening::{DRIFT_FEATURES, Facts, Renderer, drift_features};
use velocity::VelocityStore;

use super::Args;
use crate::{
    models::OfflineClassifier,
    offline::{Case, CaseReader, LabelQueue, LineError},
    settings::Settings,
};

/// A scored transaction whose truth is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    /// Event time.
    pub(super) at: Timestamp,
    /// Log-odds of fraud before calibration.
    pub(super) margin: f64,
    /// In major units, as given.
    pub(super) amount: f64,
    /// Whether it was fraud.
    pub(super) fraud: bool,
    /// Which of the accounts with fraud it belongs to; 0 for legitimate ones.
    pub(super) account: u32,
}

/// What a reference is made from. Every scored transaction has one, labelled or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) margin: f64,
    pub(super) features: [Option<f64>; DRIFT_FEATURES.len()],
}

/// Everything read. Held in memory: some 300 bytes a transaction.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Labelled, by event time.
    pub(super) labelled: Vec<Scored>,
    /// All, for the reference; empty unless one is wanted.
    pub(super) seen: Vec<Seen>,
    /// Scored without a label.
    pub(super) unlabelled: usize,
    /// Lines that are no transaction.
    pub(super) skipped: usize,
    /// Transactions by currency.
    pub(super) currencies: BTreeMap<String, usize>,
    /// Accounts that the frauds come from, numbered from 1.
    pub(super) fraud_accounts: HashMap<AccountId, u32>,
}

/// What a transaction goes through.
struct Pipeline<'a> {
    velocity: VelocityStore,
    labels: LabelQueue,
    classifier: OfflineClassifier,
    renderer: &'a Renderer,
    with_features: bool,
}

impl Collected {
    /// Reads, counts and scores the files.
    pub(super) fn read(
        args: &Args,
        settings: &Settings,
        classifier: OfflineClassifier,
        renderer: &Renderer,
    ) -> anyhow::Result<Self> {
        let mut pipeline = Pipeline {
            velocity: VelocityStore::new(settings.velocity_config(), &Registry::new())?,
            labels: LabelQueue::default(),
            classifier,
            renderer,
            with_features: args.reference || args.package_out.is_some(),
        };
        let mut collected = Self::default();
        // Both are looked at before either is read, so that a missing file is known at once.
        let mut warm = CaseReader::open(&args.warm, true)?;
        let mut cases = CaseReader::open(&args.files, true)?;
        warm.progress().set_message("warming velocity");
        while let Some(case) = warm.next_case()? {
            if let Some(case) = collected.usable(case, &warm) {
                pipeline.observe(&case);
            }
        }
        while let Some(case) = cases.next_case()? {
            let Some(case) = collected.usable(case, &cases) else { continue };
            pipeline.score(case, &mut collected)?;
            let message = format!(
                "{} labelled, {} unlabelled",
                collected.labelled.len(),
                collected.unlabelled
            );
            cases.progress().set_message(message);
        }
        collected.labelled.sort_by_key(|scored| scored.at);
        Ok(collected)
    }

    fn usable(&mut self, case: Result<Case, LineError>, reader: &CaseReader) -> Option<Case> {
        case.inspect_err(|error| {
            self.skipped += 1;
            reader.progress().suspend(|| tracing::warn!("skipped {error}"));
        })
        .ok()
    }
}

impl Pipeline<'_> {
    fn observe(&mut self, case: &Case) -> velocity::VelocityFacts {
        self.labels.release(case.transaction.timestamp, &self.velocity);
        self.labels.hold(case);
        self.velocity.observe(&case.transaction)
    }

    fn score(&mut self, case: Case, into: &mut Collected) -> anyhow::Result<()> {
        let velocity = self.observe(&case);
        let facts = Facts::new(case.transaction, velocity);
        let text = self.renderer.screening_text(&facts)?;
        let margin = self.classifier.classify(&text)?.margin;
        let transaction = &facts.transaction;
        *into.currencies.entry(transaction.currency.to_string()).or_default() += 1;
        if self.with_features {
            let features = drift_features(&facts).map(|(_, value)| value);
            into.seen.push(Seen { margin, features });
        }
        let Some(label) = case.label else {
            into.unlabelled += 1;
            return Ok(());
        };
        let fraud = label == TruthLabel::Fraud;
        let account = if fraud {
            let next = u32::try_from(into.fraud_accounts.len() + 1).unwrap_or(u32::MAX);
            *into.fraud_accounts.entry(transaction.account.id.clone()).or_insert(next)
        } else {
            0
        };
        let (at, amount) = (transaction.timestamp, facts.derived.amount);
        into.labelled.push(Scored { at, margin, amount, fraud, account });
        Ok(())
    }
}
