//! Opening packages, good and bad.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use package::{Calibration, Package};
use sha2::{Digest, Sha256};

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_package(dir: &Path) -> String {
    fs::write(dir.join("input.j2"), "{{ x }}").unwrap();
    let manifest = format!(
        "format = 1\nkind = \"classifier\"\nname = \"n\"\nversion = \"1\"\n\
         [classifier]\nfraud_label = \"fraud\"\nmax_tokens = 8\ninput_template = \"input.j2\"\n\
         [calibration]\nmethod = \"platt\"\na = 2.0\nb = -1.0\n\
         [files]\n\"input.j2\" = \"{}\"\n",
        sha256("{{ x }}")
    );
    fs::write(dir.join("package.toml"), &manifest).unwrap();
    manifest
}

fn refused(dir: &Path, expected: &str) {
    let error = Package::open(dir).unwrap_err().to_string();
    assert!(error.contains(expected), "{error:?} should contain {expected:?}");
}

#[test]
fn a_whole_package_opens_with_a_stable_identity() {
    let dir = tempfile::tempdir().unwrap();
    write_package(dir.path());
    let package = Package::open(dir.path()).unwrap();
    assert_eq!((package.name(), package.version(), package.sha256().len()), ("n", "1", 64));
    assert_eq!(package.sha256(), Package::open(dir.path()).unwrap().sha256());
    let rendered = package.template().unwrap().unwrap().render(serde_json::json!({"x": 3}));
    assert_eq!(rendered.unwrap(), "3");
}

#[test]
fn what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    refused(dir.path(), "model.onnx");
    let manifest = write_package(dir.path());
    fs::write(dir.path().join("input.j2"), "{{ y }}").unwrap();
    refused(dir.path(), "input.j2: sha256 is");
    fs::remove_file(dir.path().join("input.j2")).unwrap();
    refused(dir.path(), "input.j2: No such file");
    let edits = [
        ("format = 1", "format = 2", "format 2"),
        ("format = 1", "format = 1\ncolour = 3", "colour"),
        ("\"classifier\"", "\"decoder\"", "needs [decoder]"),
        ("\"input.j2\" = ", "\"other.j2\" = ", "no sha256"),
        ("[files]", "[files]\n\"../x\" = \"00\"", "inside the package"),
        ("\"platt\"", "\"magic\"", "magic"),
    ];
    for (from, to, expected) in edits {
        fs::write(dir.path().join("package.toml"), manifest.replace(from, to)).unwrap();
        refused(dir.path(), expected);
    }
}

#[test]
fn calibration_follows_its_formula() {
    let platt = Calibration::Platt { a: 2.0, b: -1.0 };
    assert!((platt.probability(0.5) - 0.5).abs() < 1e-12);
    assert!((Calibration::Identity.probability(0.0) - 0.5).abs() < 1e-12);
    assert!(platt.probability(1e6) <= 1.0 && platt.probability(-1e6) >= 0.0);
}
