//! Runs ONNX models: a classifier for screening, a constrained decoder for analysis.
//!
//! The only crate that knows ONNX Runtime, tokenizers and grammars. It knows neither fraud nor
//! scheduling: [`ClassifierWorker`] and [`DecoderEngine`] are handed to whoever batches.
//!
//! # Invariants
//!
//! 1. **A score depends on its own input alone**, to the bit: not on batch mates, padding, other
//!    sequences or the number of threads. This holds for FP32, static QDQ INT8 and weight-only
//!    INT8 and INT4 graphs. Dynamic INT8 breaks it, and [`verify_classifier`] says so.
//! 2. **Text never becomes control.** `[SEP]` or `</s>` in a memo is spelled out like any word.
//! 3. **An answer always fits its schema**, and its verdict is the one whose probability is
//!    reported. An answer that reaches its limit says so.
//! 4. **A bad file is an error when it is loaded**, with the file's name; a bad library too.
//!    Nothing hangs and nothing panics.
//!
//! # Traps
//!
//! - *ONNX Runtime's environment* exists once per process, even after it was dropped: [`Runtime`]
//!   keeps it for ever. Before a library is loaded, no `ort` value may be made, not even an
//!   error: it would look for a library of its own choice.
//! - *The session builder prefers other devices than the CPU* unless told, and so would a score.
//! - *Packed weights are shared only for initializers that the caller supplies.* A container
//!   alone does nothing. The weights are therefore read from the file and supplied, and sessions
//!   are opened on the graph without them. What another worker takes is then its activations.
//! - *The last layer computed for one token* makes float products of one row, which ONNX Runtime
//!   rounds otherwise than products of several. Integer products are exact: an INT8 graph may do
//!   so, and a float graph takes the row twice (`weir_training.screening.first_token`).
//! - *A binding copies borrowed tensors in silence* and refuses vector-backed ones as outputs. A
//!   part of a tensor can be bound only by its address: `decoder/slab.rs`, the one module with
//!   `unsafe` code.
//! - *Grouped attention takes several new tokens at once only for a batch of one*, and no row of
//!   length zero. Prompts are prefilled alone; there are no idle rows.
//! - *Attention over one new token sums in another order than over several.* In FP32 that is
//!   5e-6 of a logit; in INT8 and INT4 graphs the next rounding makes a tenth of it. How a token
//!   was fed may therefore never depend on the company: whether forced tokens go in at once is
//!   decided by the run's length alone, and no piece of a prompt is a single token. Everything
//!   else (which rows run beside it, where a prompt is cut, whether its prefix was cached, how
//!   many threads) leaves every bit alone.
//! - *RoBERTa counts positions from behind the padding id*, so padding must use that id, and two
//!   of the positions are not for tokens.
//! - *Exporters leave `id2label` out* when it is the default of two unnamed labels.
//! - *Masks allow every spelling* of an enumeration, letter by letter. At the verdict only the
//!   usual spellings compete.

mod classifier;
mod decoder;
mod error;
mod files;
mod labels;
mod logits;
mod runtime;
mod session;
mod tokenizer;
mod verify;
mod weights;

pub use classifier::{Classification, Classifier, ClassifierConfig, ClassifierWorker};
pub use decoder::{
    Admission, BareDecoder, ChoiceProbe, DecodeRequest, Decoder, DecoderConfig, DecoderEncoder,
    DecoderEngine, DecoderMetrics, EncodedPrompt, Extent, Finish, Generation, GrammarSpec, Opening,
    Sampling,
};
pub use error::{EncodeError, LoadError};
pub use runtime::{Runtime, RuntimeConfig, RuntimeError, VERSION, VERSION_MINIMUM};
pub use session::{ExecutionProvider, GraphOptimization, SessionConfig};
pub use tokenizer::{EncodedText, TextEncoder};
pub use verify::{
    Check, Drift, Latency, Stage, Verification, VerifyConfig, VerifyError, verify_classifier,
    verify_decoder,
};
