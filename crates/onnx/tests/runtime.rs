//! A library that cannot work is an error at once, never a hang.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use onnx::{Runtime, RuntimeConfig, RuntimeError};

fn load(path: &Path) -> Result<Runtime, RuntimeError> {
    Runtime::load(&RuntimeConfig { library: Some(path.to_path_buf()) })
}

/// A shared library with the entry point of ONNX Runtime, which says it is `version`.
fn fake(dir: &Path, version: &str) -> std::path::PathBuf {
    let source = dir.join("fake.c");
    let program = format!(
        "static const char* version(void) {{ return \"{version}\"; }}\n\
         static const void* api(unsigned int wanted) {{ (void)wanted; return 0; }}\n\
         static const void* base[2] = {{ (const void*)api, (const void*)version }};\n\
         const void* OrtGetApiBase(void) {{ return base; }}\n"
    );
    fs::write(&source, program).unwrap();
    compile(&source, dir)
}

fn compile(source: &Path, dir: &Path) -> std::path::PathBuf {
    let library = dir.join("libonnxruntime.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, source])
        .status()
        .expect("building Rust needs cc too");
    assert!(status.success());
    library
}

fn refusal(path: &Path) -> (RuntimeError, String) {
    let error = load(path).expect_err("a bad library was accepted");
    let message = error.to_string();
    (error, message)
}

/// One test, in this order: a process holds only one library, and the last one is real.
#[test]
fn bad_libraries_are_refused_with_path_and_remedy_and_a_good_one_then_still_loads() {
    let dir = tempfile::tempdir().unwrap();

    let (error, message) = refusal(&dir.path().join("nowhere.so"));
    assert!(matches!(error, RuntimeError::Missing { .. }), "{message}");
    assert!(message.contains("nowhere.so") && message.contains("fetch-onnxruntime"), "{message}");

    let (error, message) = refusal(dir.path());
    assert!(matches!(error, RuntimeError::Missing { .. }), "{message}");

    let garbage = dir.path().join("garbage.so");
    fs::write(&garbage, "no library at all").unwrap();
    let (error, message) = refusal(&garbage);
    assert!(matches!(error, RuntimeError::NotALibrary { .. }), "{message}");
    assert!(message.contains("garbage.so"), "{message}");

    fs::write(&garbage, b"\x7fELF and then nonsense").unwrap();
    let (error, message) = refusal(&garbage);
    assert!(matches!(error, RuntimeError::Load { .. }), "{message}");
    assert!(message.contains("garbage.so"), "{message}");

    let named = dir.path().join("libonnxruntime.so.1.22.0");
    fs::write(&named, b"\x7fELF").unwrap();
    let (error, message) = refusal(&named);
    assert!(matches!(error, RuntimeError::TooOld { .. }), "{message}");
    fs::remove_file(&named).unwrap();

    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("other.c"), "int something_else(void) { return 1; }").unwrap();
    let (error, message) = refusal(&compile(&other.join("other.c"), &other));
    assert!(matches!(error, RuntimeError::Load { .. }), "{message}");
    assert!(message.contains("OrtGetApiBase"), "{message}");

    let (error, message) = refusal(&fake(dir.path(), "1.22.3"));
    assert!(matches!(error, RuntimeError::TooOld { .. }), "{message}");
    assert!(message.contains("1.22.3") && message.contains("libonnxruntime.so"), "{message}");

    let runtime = common::runtime();
    assert!(runtime.build_info().contains("Build Info"), "{}", runtime.build_info());

    let twin = dir.path().join("twin.so");
    fs::copy(runtime.library(), &twin).unwrap();
    let (error, message) = refusal(&twin);
    assert!(matches!(error, RuntimeError::AlreadyLoaded { .. }), "{message}");
    assert_eq!(load(runtime.library()).unwrap().library(), runtime.library());
}
