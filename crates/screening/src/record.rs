//! What the ledger keeps of a decision: all that a replay needs.

use domain::{Decision, PackageRef};
use serde::{Deserialize, Serialize};

use crate::facts::Facts;

/// The record behind one decision. Everything a model saw is in it word for word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The facts as seen.
    pub facts: Facts,
    /// The text tier 1 read.
    pub screening_text: String,
    /// The prompt tier 2 read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_prompt: Option<String>,
    /// The report as tier 2 wrote it, before any check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_text: Option<String>,
    /// Tier 2's package, also when it gave no usable report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_package: Option<PackageRef>,
    /// Why tier 2 gave no usable report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_error: Option<String>,
    /// What was decided.
    pub decision: Decision,
}
