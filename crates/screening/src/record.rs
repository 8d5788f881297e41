//! What the ledger keeps of a decision: all that a replay needs.

use domain::{Decision, PackageRef};
use policy::Assessment;
use serde::{Deserialize, Serialize, ser::Error as _};
use sha2::{Digest, Sha256};

use crate::{facts::Facts, report::report_schema_json, tiers::Written};

/// The record behind one decision. Everything a model saw is in it word for word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The facts as seen.
    pub facts: Facts,
    /// The text tier 1 read.
    pub screening_text: String,
    /// What the policy made of the score, with the thresholds in force at that moment. Records of
    /// versions that did not keep it have none, and cannot be replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Assessment>,
    /// What tier 2 read and wrote before the answer.
    #[serde(flatten)]
    pub analysis: AnalysisRecord,
    /// Tier 2's package, also when it gave no usable report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_package: Option<PackageRef>,
    /// What was decided.
    pub decision: Decision,
}

/// What tier 2 read and wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisRecord {
    /// The prompt tier 2 read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_prompt: Option<String>,
    /// Whether the case was judged a second time without its memo.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_pass: bool,
    /// SHA-256 of the prompt, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_sha256: Option<String>,
    /// SHA-256 of the schema that the report had to follow, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_sha256: Option<String>,
    /// Tokens of the prompt, where the engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
    /// Tokens of the report, where the engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_tokens: Option<u32>,
    /// The report's tokens themselves, of the embedded engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub report_token_ids: Vec<u32>,
    /// The report as tier 2 wrote it, before any check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_text: Option<String>,
    /// Why tier 2 gave no usable report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_error: Option<String>,
}

impl AnalysisRecord {
    /// Of a prompt that tier 2 is given.
    pub(crate) fn of_prompt(prompt: String) -> Self {
        Self {
            prompt_sha256: Some(sha256(prompt.as_bytes())),
            schema_sha256: Some(sha256(report_schema_json().as_bytes())),
            analysis_prompt: Some(prompt),
            ..Self::default()
        }
    }

    /// Takes what tier 2 wrote.
    pub(crate) fn keep(&mut self, written: Written) {
        self.report_tokens = written.tokens;
        self.report_token_ids = written.token_ids;
        self.analysis_text = Some(written.text);
    }
}

/// What the ledger keeps of an analysis that came after its decision had been answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionRecord {
    /// What tier 2 read and wrote.
    #[serde(flatten)]
    pub analysis: AnalysisRecord,
    /// Tier 2's package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_package: Option<PackageRef>,
}

/// Hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Room for most responses, in bytes, so that they are not moved while they grow.
const RESPONSE_BYTES: usize = 2048;
/// Room for most records that tier 2 has no part in, in bytes.
const RECORD_BYTES: usize = 8192;

impl Record {
    /// The record as the ledger keeps it.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        to_json(self, RECORD_BYTES)
    }
}

/// The response body.
pub(crate) fn response_json(decision: &Decision) -> Result<String, serde_json::Error> {
    to_json(decision, RESPONSE_BYTES)
}

fn to_json(value: &impl Serialize, capacity: usize) -> Result<String, serde_json::Error> {
    let mut json = Vec::with_capacity(capacity);
    serde_json::to_writer(&mut json, value)?;
    String::from_utf8(json).map_err(serde_json::Error::custom)
}
