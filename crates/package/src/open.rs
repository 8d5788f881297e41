//! Opens a package folder and proves it whole.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Component, Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    manifest::{Kind, Manifest},
    template::{Template, TemplateError},
};

/// The manifest's file name.
pub const MANIFEST: &str = "package.toml";

/// What the score and the main features looked like at calibration: whoever watches for drift
/// reads it, and this crate does not. Part of a package when `[files]` lists it.
pub const REFERENCE: &str = "reference.json";

/// Files that make up a bare export's identity, when there is no manifest.
const BARE_FILES: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "genai_config.json",
    "model.onnx",
    "model.onnx.data",
    "model_quantized.onnx",
    "onnx/model.onnx",
    "onnx/model_quantized.onnx",
];

/// Why a folder is not a usable package. Each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The manifest is not what it should be.
    #[error("{path}: {detail}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A file is not the one the manifest was written for.
    #[error(
        "{path}: sha256 is {found}, but {MANIFEST} says {expected}; the file was changed or damaged"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The template does not compile.
    #[error("{path}: {source}")]
    Template {
        /// The template.
        path: PathBuf,
        /// What is wrong.
        source: TemplateError,
    },
}

/// A package whose files have been checked.
#[derive(Debug, Clone)]
pub struct Package {
    dir: PathBuf,
    manifest: Option<Manifest>,
    name: String,
    version: String,
    sha256: String,
}

impl Package {
    /// Opens a folder and checks every file that its manifest lists.
    ///
    /// # Errors
    /// When a file is missing, changed or malformed; the error names it.
    pub fn open(dir: &Path) -> Result<Self, PackageError> {
        let path = dir.join(MANIFEST);
        match fs::read_to_string(&path) {
            Ok(text) => Self::with_manifest(dir, &path, &text),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Self::bare(dir),
            Err(source) => Err(PackageError::Io { path, source }),
        }
    }

    fn with_manifest(dir: &Path, path: &Path, text: &str) -> Result<Self, PackageError> {
        let malformed = |detail: String| PackageError::Manifest { path: path.to_owned(), detail };
        let manifest: Manifest =
            toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        check_manifest(&manifest).map_err(malformed)?;
        for (file, expected) in &manifest.files {
            let found = sha256_file(&dir.join(file))?;
            if !found.eq_ignore_ascii_case(expected) {
                return Err(PackageError::Checksum {
                    path: dir.join(file),
                    expected: expected.clone(),
                    found,
                });
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            sha256: hex(&Sha256::digest(text.as_bytes())),
            manifest: Some(manifest),
        })
    }

    fn bare(dir: &Path) -> Result<Self, PackageError> {
        let mut hashes = BTreeMap::new();
        for file in BARE_FILES {
            let path = dir.join(file);
            if path.is_file() {
                hashes.insert(*file, sha256_file(&path)?);
            }
        }
        if !hashes.keys().any(|file| file.ends_with(".onnx")) {
            let source = io::Error::new(
                io::ErrorKind::NotFound,
                format!("neither {MANIFEST} nor a model.onnx here"),
            );
            return Err(PackageError::Io { path: dir.to_owned(), source });
        }
        let listing = hashes.iter().fold(String::new(), |mut listing, (file, hash)| {
            let _ = writeln!(listing, "{hash}  {file}");
            listing
        });
        let name = dir.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy());
        Ok(Self {
            dir: dir.to_owned(),
            manifest: None,
            name: name.into_owned(),
            version: "0".into(),
            sha256: hex(&Sha256::digest(listing.as_bytes())),
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The manifest; a bare export has none.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The package's name; a bare export is named after its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The package's version; `0` for a bare export.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the manifest, which holds the hash of every other file; for a bare export,
    /// of the list of file hashes.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The template named by the manifest, compiled. `None` for a bare export.
    ///
    /// # Errors
    /// When the template cannot be read or does not compile.
    pub fn template(&self) -> Result<Option<Template>, PackageError> {
        let Some(manifest) = &self.manifest else { return Ok(None) };
        let file = match (&manifest.classifier, &manifest.decoder) {
            (Some(classifier), _) => &classifier.input_template,
            (None, Some(decoder)) => &decoder.prompt_template,
            (None, None) => return Ok(None),
        };
        let path = self.dir.join(file);
        Template::read(&path).map(Some)
    }

    /// The text of [`REFERENCE`], whose hash was checked; `None` for a package without it.
    ///
    /// # Errors
    /// When it can no longer be read.
    pub fn reference(&self) -> Result<Option<String>, PackageError> {
        let listed = |manifest: &Manifest| manifest.files.contains_key(REFERENCE);
        if !self.manifest.as_ref().is_some_and(listed) {
            return Ok(None);
        }
        let path = self.dir.join(REFERENCE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(source) => Err(PackageError::Io { path, source }),
        }
    }

    /// The first of these paths, relative to the package, that exists.
    #[must_use]
    pub fn find(&self, candidates: &[&str]) -> Option<PathBuf> {
        candidates.iter().map(|file| self.dir.join(file)).find(|path| path.is_file())
    }
}

fn check_manifest(manifest: &Manifest) -> Result<(), String> {
    if manifest.format != 1 {
        return Err(format!("format {} is not known; this build reads format 1", manifest.format));
    }
    match (manifest.kind, &manifest.classifier, &manifest.decoder) {
        (Kind::Classifier, Some(_), None) | (Kind::Decoder, None, Some(_)) => {}
        (Kind::Classifier, _, _) => {
            return Err("kind = \"classifier\" needs [classifier] alone".into());
        }
        (Kind::Decoder, _, _) => return Err("kind = \"decoder\" needs [decoder] alone".into()),
    }
    let named = [
        manifest.classifier.as_ref().map(|classifier| classifier.input_template.as_str()),
        manifest.decoder.as_ref().map(|decoder| decoder.prompt_template.as_str()),
        manifest.golden.as_ref().map(|golden| golden.file.as_str()),
    ];
    for file in named.into_iter().flatten() {
        if !manifest.files.contains_key(file) {
            return Err(format!("{file} is used but [files] gives no sha256 for it"));
        }
    }
    manifest.calibration.check()?;
    for file in manifest.files.keys() {
        let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(format!("[files] {file:?} must be a path inside the package"));
        }
    }
    Ok(())
}

fn sha256_file(path: &Path) -> Result<String, PackageError> {
    let failed = |source| PackageError::Io { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher).map_err(failed)?;
    Ok(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
