//! Confirmed truth, which arrives late.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::transaction::words;

words! {
    /// What a transaction turned out to be.
    TruthLabel {
        /// Confirmed fraud.
        Fraud = "fraud",
        /// Confirmed legitimate.
        Legitimate = "legitimate",
    }
}

words! {
    /// Who says so.
    LabelSource {
        /// A chargeback.
        Chargeback = "chargeback",
        /// A fraud analyst.
        Analyst = "analyst",
        /// The account holder.
        Customer = "customer",
        /// Law enforcement or another institution.
        External = "external",
        /// A simulation or a public data set.
        Simulation = "simulation",
    }
}

/// A label for one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Label {
    /// What it turned out to be.
    pub label: TruthLabel,
    /// Who says so.
    pub source: LabelSource,
    /// From when on the truth was known; earlier transactions do not see it.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub effective_at: Timestamp,
    /// Takes back an earlier label of this transaction.
    #[serde(default)]
    pub reversed: bool,
}
