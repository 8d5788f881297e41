//! What tier 1 costs against the hardware's limit and against other servers.
//!
//! | | what it is |
//! |---|---|
//! | [`bare`] | the graph alone on plain threads: the hardware's limit |
//! | [`online`] | the same when only what has arrived may be batched |
//! | [`http`] | Weir and its peers over HTTP, driven by the same load generator |
//! | [`targets`] | which ratios have to hold |

pub mod bare;
pub mod bench;
pub mod book;
pub mod extras;
pub mod graph;
pub mod http;
pub mod limits;
pub mod online;
pub mod peers;
pub mod process;
pub mod report;
pub mod rounds;
mod scheduled;
pub mod settings;
pub mod targets;
pub mod texts;
pub mod weir;
