//! The cascade: velocity, tier 1, policy, tier 2, decision.
//!
//! Invariants:
//! * [`Screener`] is the only orchestrator, and calls only downward.
//! * Tier 2 never delays or fails a tier-1 answer: whatever goes wrong there becomes a
//!   `degraded` decision under the policy's fallback.
//! * Tier 2 may raise risk freely, and lower it only inside the band of the policy.
//! * Text that tells its reader what to do is read by no model, and makes the outcome at
//!   least what the policy says.
//! * A reason is given only when its predicate over the facts holds; a narrative only when
//!   each of its numbers stands in the prompt.
//! * A decision is in the ledger before it is answered.

mod analyst;
mod completion;
mod explain;
mod facts;
mod hostile;
mod metrics;
mod numbers;
mod policy;
mod reasons;
mod record;
mod render;
mod report;
mod screener;
mod text;
mod tiers;

pub use analyst::{AnalysisOptions, Narrative};
pub use completion::CompletionRecord;
pub use explain::explain;
pub use facts::{Derived, Facts};
pub use hostile::{Instruction, TextField};
pub use metrics::ScreeningMetrics;
pub use policy::{Policy, PolicyError, Route, Thresholds};
pub use reasons::supported_reasons;
pub use record::Record;
pub use render::{RenderError, Renderer};
pub use report::{REPORT_PREFIX, Report, ReportError, report_schema, verdict_words};
pub use screener::{ScreenError, ScreenOptions, Screened, Screener, ScreenerParts};
pub use text::{Disguise, Finding, FindingKind, instruction_like};
pub use tiers::{
    Analysing, AnalysisModel, Basis, Case, Extent, Judgement, ModelTimings, PendingReport, Place,
    Priority, Scored, ScreeningModel, TierError, Written,
};
