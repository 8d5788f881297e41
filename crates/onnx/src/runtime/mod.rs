//! Finds and loads the ONNX Runtime library, once per process.

mod probe;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use ort::environment::Environment;

/// The release of ONNX Runtime that this crate is built and tested against.
pub const VERSION: &str = "1.31.1";
/// The oldest minor release of ONNX Runtime 1 whose interface this crate can use.
pub const VERSION_MINIMUM: u32 = ort::MINOR_VERSION;

const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";
/// `target/release/deps/x` lies four folders below the repository's root.
const ANCESTORS_MAX: usize = 4;
/// A library whose constructors hang must not hang the caller. Reading one from a cold disk may
/// take seconds, so the limit is far above that.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Where ONNX Runtime lies.
#[derive(Debug, Clone, Default)]
pub struct RuntimeConfig {
    /// The library, or a folder that holds it. When absent: `ORT_DYLIB_PATH`, then
    /// `.onnxruntime/<version>/` in the working directory and beside the executable or above it.
    pub library: Option<PathBuf>,
}

/// Why ONNX Runtime could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Nothing was configured and nothing was found.
    #[error(
        "ONNX Runtime {VERSION} was not found; looked in {}. Run `scripts/fetch-onnxruntime` \
         or set {LIBRARY_VARIABLE} to the library", listing(.searched)
    )]
    NotFound {
        /// The folders that were searched, in order.
        searched: Vec<PathBuf>,
    },
    /// The configured path does not exist.
    #[error(
        "no ONNX Runtime library at {}; run `scripts/fetch-onnxruntime` or correct the setting",
        path.display()
    )]
    Missing {
        /// The configured path.
        path: PathBuf,
    },
    /// The file exists and cannot be read.
    #[error("cannot read the ONNX Runtime library {}: {source}", path.display())]
    Unreadable {
        /// The library.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is no shared library.
    #[error(
        "{} is not a shared library; point the setting at libonnxruntime", path.display()
    )]
    NotALibrary {
        /// The file.
        path: PathBuf,
    },
    /// The library is older than the interface this crate needs.
    #[error(
        "{} is ONNX Runtime {found}; 1.{VERSION_MINIMUM} or newer is needed. \
         Run `scripts/fetch-onnxruntime` for {VERSION}", path.display()
    )]
    TooOld {
        /// The library.
        path: PathBuf,
        /// The version it says it is.
        found: String,
    },
    /// The library could not be loaded or initialised.
    #[error("cannot load ONNX Runtime from {}: {reason}", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// Another library is loaded already; a process can hold only one.
    #[error(
        "ONNX Runtime is loaded from {} already; cannot load {} too", loaded.display(), asked.display()
    )]
    AlreadyLoaded {
        /// The library in use.
        loaded: PathBuf,
        /// The library asked for.
        asked: PathBuf,
    },
}

fn listing(folders: &[PathBuf]) -> String {
    let names: Vec<String> = folders.iter().map(|dir| dir.display().to_string()).collect();
    names.join(", ")
}

/// A loaded ONNX Runtime. Cheap to clone; all clones share one environment.
#[derive(Clone)]
pub struct Runtime {
    loaded: Arc<Loaded>,
}

struct Loaded {
    library: PathBuf,
    environment: Environment,
}

/// ONNX Runtime allows one environment per process, and refuses a second even after the first
/// was dropped: so the first one lives for ever.
static LOADED: Mutex<Option<Arc<Loaded>>> = Mutex::new(None);

impl Runtime {
    /// Loads the library, or answers the one that this process holds already.
    ///
    /// # Errors
    /// When no usable library is found; the error names the path and the remedy.
    pub fn load(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let mut slot = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let explicit = config.library.clone().or_else(library_from_environment);
        if let Some(loaded) = slot.as_ref() {
            return reuse(loaded, explicit.as_deref());
        }
        let library = match explicit {
            Some(path) => probe::probe(&path)?,
            None => probe::probe(&search()?)?,
        };
        let environment = initialise(&library)?;
        let loaded = Arc::new(Loaded { library, environment });
        *slot = Some(Arc::clone(&loaded));
        Ok(Self { loaded })
    }

    /// The library in use.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.loaded.library
    }

    /// The build that the library says it is: branch, commit, flags.
    #[must_use]
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.loaded.environment
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("library", &self.loaded.library).finish_non_exhaustive()
    }
}

fn library_from_environment() -> Option<PathBuf> {
    std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn reuse(loaded: &Arc<Loaded>, asked: Option<&Path>) -> Result<Runtime, RuntimeError> {
    if let Some(asked) = asked {
        let asked = probe::probe(asked)?;
        if asked != loaded.library {
            return Err(RuntimeError::AlreadyLoaded { loaded: loaded.library.clone(), asked });
        }
    }
    Ok(Runtime { loaded: Arc::clone(loaded) })
}

fn search() -> Result<PathBuf, RuntimeError> {
    let mut bases: Vec<PathBuf> = std::env::current_dir().into_iter().collect();
    if let Ok(executable) = std::env::current_exe() {
        bases.extend(executable.ancestors().skip(1).take(ANCESTORS_MAX).map(Path::to_path_buf));
    }
    let folders: Vec<PathBuf> =
        bases.into_iter().map(|base| base.join(".onnxruntime").join(VERSION)).collect();
    match folders.iter().find_map(|dir| probe::find_in(dir)) {
        Some(library) => Ok(library),
        None => Err(RuntimeError::NotFound { searched: folders }),
    }
}

/// Loads on a thread of its own, so that neither a panic nor a hang in foreign code reaches us.
fn initialise(library: &Path) -> Result<Environment, RuntimeError> {
    let failed = |reason: &str| RuntimeError::Load { path: library.into(), reason: reason.into() };
    let (sender, receiver) = mpsc::sync_channel(1);
    let path = library.to_path_buf();
    thread::Builder::new()
        .name("onnxruntime-load".into())
        .spawn(move || {
            // The receiver may have given up; then nobody is left to tell.
            let _ = sender.send(create_environment(&path));
        })
        .map_err(|error| failed(&error.to_string()))?;
    match receiver.recv_timeout(LOAD_TIMEOUT) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(failed("it did not answer in time")),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(failed("its initialisation panicked")),
    }
}

fn create_environment(library: &Path) -> Result<Environment, RuntimeError> {
    let builder = ort::init_from(library).map_err(|error| match error {
        ort::LoadDynamicError::BadVersion { version_str, path } => {
            RuntimeError::TooOld { path, found: version_str }
        }
        other @ (ort::LoadDynamicError::Dlopen { .. }
        | ort::LoadDynamicError::MissingApi { .. }
        | ort::LoadDynamicError::InvalidVersionString) => {
            RuntimeError::Load { path: library.into(), reason: other.to_string() }
        }
    })?;
    builder
        .with_name("weir")
        .with_telemetry(false)
        .build()
        .map_err(|error| RuntimeError::Load { path: library.into(), reason: error.to_string() })
}
