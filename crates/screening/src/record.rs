//! What the ledger keeps of a decision: all that a replay needs.

use domain::{Decision, PackageRef};
use serde::{Deserialize, Serialize, ser::Error as _};

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

/// Room for most responses, in bytes, so that they are not moved while they grow.
const RESPONSE_BYTES: usize = 2048;
/// Room for most records that tier 2 has no part in, in bytes.
const RECORD_BYTES: usize = 8192;

impl Record {
    /// The response body.
    pub(crate) fn response_json(&self) -> Result<String, serde_json::Error> {
        to_json(&self.decision, RESPONSE_BYTES)
    }

    /// The record as the ledger keeps it.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        to_json(self, RECORD_BYTES)
    }
}

fn to_json(value: &impl Serialize, capacity: usize) -> Result<String, serde_json::Error> {
    let mut json = Vec::with_capacity(capacity);
    serde_json::to_writer(&mut json, value)?;
    String::from_utf8(json).map_err(serde_json::Error::custom)
}
