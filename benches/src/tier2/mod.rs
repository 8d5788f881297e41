//! What tier 2 costs against the bare graph, against itself one at a time, and against llama.cpp.
//!
//! | | what it is |
//! |---|---|
//! | [`closed`] | a number of callers that ask again as soon as they are answered |
//! | [`llama`] | llama.cpp's server, started with given settings and asked for reports |
//! | [`trial`] | the settings that suit it best |

pub mod closed;
pub mod llama;
pub mod trial;
