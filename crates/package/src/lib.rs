//! Model packages: a folder with a model and all it needs.
//!
//! Knows the manifest (`package.toml`), the checksums, the template and the golden file;
//! knows neither ONNX nor fraud. Every file the manifest lists is hashed when the package is
//! opened, so a package in hand is whole.
//!
//! A bare folder without `package.toml` (as `optimum-cli export onnx` writes it) opens too:
//! its identity is then the hash of the files found.

mod filters;
mod golden;
mod manifest;
mod open;
mod template;

pub use golden::{ClassifierGolden, DecoderGolden, GoldenError, read_golden};
pub use manifest::{
    Calibration, ClassifierManifest, DecoderManifest, GoldenManifest, Kind, Manifest,
};
pub use open::{MANIFEST, Package, PackageError, REFERENCE};
pub use template::{Template, TemplateError};
