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
    let margins = vec![-2.0, 0.0, 1.0];
    let table = Calibration::Isotonic { margins, probabilities: vec![0.1, 0.2, 0.6] };
    let expected =
        [(-9.0, 0.1), (-2.0, 0.1), (-1.0, 0.15), (0.0, 0.2), (0.5, 0.4), (1.0, 0.6), (9.0, 0.6)];
    for (margin, probability) in expected {
        assert!((table.probability(margin) - probability).abs() < 1e-12, "{margin}");
    }
    let level = Calibration::Isotonic { margins: vec![0.0], probabilities: vec![0.3] };
    assert!([-1.0, 0.0, 1.0].iter().all(|margin| level.probability(*margin) == 0.3));
}

#[test]
fn a_table_that_does_not_rise_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = write_package(dir.path());
    let with = |margins: &str, probabilities: &str| {
        let table = format!(
            "method = \"isotonic\"\nmargins = {margins}\nprobabilities = {probabilities}\n"
        );
        let text = manifest.replace("method = \"platt\"\na = 2.0\nb = -1.0\n", &table);
        fs::write(dir.path().join("package.toml"), text).unwrap();
    };
    with("[-1.0, 2.0]", "[0.1, 0.1]");
    assert!(Package::open(dir.path()).is_ok());
    for (margins, probabilities, expected) in [
        ("[1.0, 1.0]", "[0.1, 0.2]", "rise strictly"),
        ("[1.0, nan]", "[0.1, 0.2]", "finite"),
        ("[1.0, 2.0]", "[0.2, 0.1]", "never falling"),
        ("[1.0, 2.0]", "[0.2, 1.1]", "between 0 and 1"),
        ("[1.0]", "[0.2, 0.3]", "as many margins"),
        ("[]", "[]", "as many margins"),
    ] {
        with(margins, probabilities);
        refused(dir.path(), expected);
    }
}

#[test]
fn a_reference_belongs_to_the_package_only_where_its_hash_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = write_package(dir.path());
    fs::write(dir.path().join("reference.json"), "{}").unwrap();
    assert_eq!(Package::open(dir.path()).unwrap().reference().unwrap(), None);
    let listed = format!("{manifest}\"reference.json\" = \"{}\"\n", sha256("{}"));
    fs::write(dir.path().join("package.toml"), listed).unwrap();
    let package = Package::open(dir.path()).unwrap();
    assert_eq!(package.reference().unwrap().as_deref(), Some("{}"));
    fs::write(dir.path().join("reference.json"), "{ }").unwrap();
    refused(dir.path(), "reference.json: sha256 is");
}
