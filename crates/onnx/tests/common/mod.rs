//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod decoder;

use std::path::{Path, PathBuf};

use onnx::{Classifier, ClassifierConfig, Runtime, RuntimeConfig, VERSION};
use package::Package;
use rand::{RngExt, SeedableRng, rngs::StdRng};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn runtime() -> Runtime {
    let library = match std::env::var_os("ORT_DYLIB_PATH") {
        Some(_) => None,
        None => Some(root().join(".onnxruntime").join(VERSION)),
    };
    Runtime::load(&RuntimeConfig { library })
        .unwrap_or_else(|error| panic!("the tests need ONNX Runtime: {error}"))
}

pub(crate) fn classifier(dir: &Path) -> Classifier {
    let package = Package::open(dir).unwrap();
    Classifier::load(&runtime(), &package, &ClassifierConfig::default()).unwrap()
}

/// 268 MB of random weights are made, not shipped.
pub(crate) fn full_size() -> PathBuf {
    let named = std::env::var_os("WEIR_FULL_SIZE_FIXTURE").map(PathBuf::from);
    let dir = named.unwrap_or_else(|| root().join("target/fixtures/full-size-distilbert"));
    assert!(
        dir.join("golden.jsonl").is_file(),
        "{} is missing; `make fixtures` makes it, or \
         `python3 models/training/fixtures/full_size_distilbert.py {0}` where onnx and numpy are \
         installed (another place: WEIR_FULL_SIZE_FIXTURE)",
        dir.display()
    );
    dir
}

/// Texts of 1 to `words_max` words that the fixtures' tokenizers know, with numbers among them.
pub(crate) fn texts(count: usize, words_max: usize, seed: u64) -> Vec<String> {
    let words = "card payment transfer refund store device new amount eur night merchant crypto \
                 velocity account opened mismatch terminal memo fraud suspicious mule Zürich x9!";
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut text = || {
        let count = rng.random_range(1..=words_max);
        let mut picked: Vec<String> = Vec::with_capacity(count);
        for _ in 0..count {
            picked.push(words[rng.random_range(0..words.len())].to_owned());
            if rng.random_bool(0.1) {
                picked.push(format!("{:.2}", rng.random_range(0.0..9999.0)));
            }
        }
        picked.join(" ")
    };
    (0..count).map(|_| text()).collect()
}

/// Whether the C library gives freed blocks back at once. It reads that setting when a process
/// starts, so where it is missing the named test runs again in a process that has it, and must
/// pass there. Without it a weighing finds what an earlier session left behind, or does not.
pub(crate) fn in_a_strict_heap(test: &str) -> bool {
    const VARIABLE: &str = "MALLOC_MMAP_THRESHOLD_";
    if std::env::var_os(VARIABLE).is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(VARIABLE, "1048576")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    false
}

/// A copy of a fixture that a test may damage.
pub(crate) fn copy(name: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    copy_into(&fixture(name), target.path());
    target
}

fn copy_into(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
