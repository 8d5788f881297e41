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
//! * A decision is in the ledger before it is answered, and what is promised with it stays owed
//!   until it is there.
//! * Decisions are composed by one pure function, live, later and in a replay.

mod analyst;
mod announce;
mod attribution;
mod comparison;
mod completion;
mod compose;
mod desk;
mod explain;
mod facts;
mod features;
mod fulfil;
mod hostile;
mod metrics;
mod numbers;
mod observe;
mod reasons;
mod recompute;
mod record;
mod render;
mod report;
mod screener;
mod shadow;
mod text;
mod tiers;

pub use analyst::{AnalysisOptions, Late, Narrative};
pub use announce::{Announcer, Silence};
pub use attribution::{Attribution, Effect};
pub use comparison::{Cell, Compared, Comparison, Line, Projected, Projection, project};
pub use desk::{InForce, PolicyDesk};
pub use explain::explain;
pub use facts::{Derived, Facts};
pub use features::{DRIFT_FEATURES, drift_features};
pub use fulfil::Fulfilled;
pub use hostile::{Instruction, TextField};
pub use metrics::ScreeningMetrics;
pub use observe::{Observer, Unobserved};
pub use reasons::supported_reasons;
pub use recompute::{Recomputed, read_record};
pub use record::{AnalysisRecord, CompletionRecord, Record};
pub use render::{RenderError, Renderer};
pub use report::{REPORT_PREFIX, Report, ReportError, report_schema, verdict_words};
pub use screener::{
    Mode, OnLedgerFailure, ScreenError, ScreenOptions, Screened, Screener, ScreenerParts,
};
pub use shadow::{Shadow, ShadowPolicy, ShadowRecord, ShadowScore, ShadowScreening};
pub use text::{Disguise, Finding, FindingKind, instruction_like};
pub use tiers::{
    Analysing, AnalysisModel, Basis, Case, Extent, Judgement, ModelTimings, PendingReport, Place,
    Priority, Scored, ScreeningModel, TierError, Written,
};
