//! What tier 2 costs against the bare graph, against itself one at a time, and against llama.cpp.
//!
//! | | what it is |
//! |---|---|
//! | [`decoder`] | our own engine and the graph it runs |
//! | [`closed`] | a number of callers that ask again as soon as they are answered |
//! | [`llama`] | llama.cpp's server, started with given settings and asked for reports |
//! | [`trial`] | the settings that suit it best |
//! | [`undisturbed`] | measures again what others disturbed |
//! | [`decode`] | steps of the engine against steps of the graph; how long a case waits to join |
//! | [`reports`] | reports a second, ours and llama.cpp's |
//! | [`precision`] | the shipped decoder in FP32, INT8 and INT4 |
//! | [`shelter`] | what a saturated tier 2 does to tier 1 |
//! | [`figures`] | what was found, and what it has to be |

pub mod bench;
pub mod closed;
pub mod decode;
pub mod decoder;
pub mod figures;
pub mod llama;
pub mod precision;
pub mod reports;
pub mod settings;
pub mod shelter;
pub mod trial;
pub mod undisturbed;
