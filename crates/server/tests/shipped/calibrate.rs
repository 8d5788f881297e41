//! `weir calibrate` as an operator runs it, on a part of the samples.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use evaluation::{Isotonic, Reference};
use package::{Calibration, Package};
use policy::Policy;
use screening::DRIFT_FEATURES;
use serde_json::Value;

use crate::support::root;

fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .env_remove("WEIR_CONFIG")
        .current_dir(root())
        .output()
        .unwrap()
}

/// The first lines of the sample payments.
fn part(dir: &Path, lines: usize, keep: impl Fn(&str) -> bool) -> String {
    let text = fs::read_to_string(root().join("samples/payments.ndjson")).unwrap();
    let kept: Vec<_> = text.lines().take(lines).filter(|line| keep(line)).collect();
    let path = dir.join("part.ndjson");
    fs::write(&path, kept.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

fn refusal(arguments: &[&str]) -> String {
    let output = weir(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_calibration_is_fitted_judged_drawn_and_ready_to_use() {
    let dir = tempfile::tempdir().unwrap();
    let file = part(dir.path(), 1_400, |_| true);
    let (out, copy) = (dir.path().join("out"), dir.path().join("package"));
    let (out_text, copy_text) = (out.to_str().unwrap(), copy.to_str().unwrap());
    let arguments = ["calibrate", "--out", out_text, "--package-out", copy_text];
    let arguments = [&arguments[..], &["--method", "isotonic", &file]].concat();
    let output = weir(&arguments);
    let (told, error) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    assert!(output.status.success(), "{}", error.unwrap());
    let told = told.unwrap();
    // 38 frauds carry an expectation of 5 %, and no confidence in it.
    assert!(
        told.contains("confident   refused: 38 labelled frauds") && told.contains("59 are"),
        "{told}"
    );
    assert!(told.contains("chosen: isotonic"), "{told}");

    let report: Value =
        serde_json::from_str(&fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["input"]["labelled"], 1_400);
    assert_eq!(report["input"]["fit"]["labels"], 700);
    let curve = report["curve"].as_array().unwrap();
    assert_eq!(curve.last().unwrap()["recall"], 1.0);
    assert!(curve.len() > 100);

    let policy = Policy::parse(&fs::read_to_string(out.join("policy.toml")).unwrap()).unwrap();
    let escalate = report["proposal"]["escalate"].as_f64().unwrap();
    assert!((policy.thresholds().escalate.value() - escalate).abs() < 1e-12);
    for (plot, words) in [("reliability", "isotonic (chosen)"), ("escalation", "recall")] {
        let svg = fs::read_to_string(out.join(plot).with_extension("svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains(words) && svg.len() > 5_000, "{plot}");
    }

    let package = Package::open(&copy).unwrap();
    let calibration = package.manifest().unwrap().calibration.clone();
    let Calibration::Isotonic { margins, probabilities } = calibration.clone() else {
        panic!("{calibration:?}")
    };
    let fitted = Isotonic { margins, probabilities };
    for step in -200..200 {
        let margin = f64::from(step) / 10.0;
        assert_eq!(calibration.probability(margin), fitted.probability(margin), "{margin}");
    }
    let reference: Reference =
        serde_json::from_str(&package.reference().unwrap().unwrap()).unwrap();
    assert_eq!(reference.observations(), 1_400);
    assert!(reference.features.iter().map(|feature| feature.name.as_str()).eq(DRIFT_FEATURES));
    let verified = weir(&["models", "verify", copy_text]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn labels_that_cannot_carry_a_calibration_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    let honest = part(dir.path(), 200, |line| line.contains("\"label\":\"legitimate\""));
    let error = refusal(&["calibrate", "--out", out, &honest]);
    assert!(error.contains("all labels are of one class (0 fraud"), "{error}");
    let few = part(dir.path(), 200, |_| true);
    let error = refusal(&["calibrate", "--out", out, &few]);
    assert!(error.contains("labels are too few") && error.contains("10 of each"), "{error}");
    let bare = dir.path().join("bare.ndjson");
    let line = fs::read_to_string(root().join("samples/payments.ndjson")).unwrap();
    let line: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    fs::write(&bare, line["transaction"].to_string()).unwrap();
    let error = refusal(&["calibrate", "--out", out, bare.to_str().unwrap()]);
    assert!(error.contains("no line has a label"), "{error}");
    let error = refusal(&["calibrate", "--out", out, "--max-missed", "1.5", &few]);
    assert!(error.contains("--max-missed 1.5"), "{error}");
    let error = refusal(&["calibrate", "--out", out, "--cost-missed-share=-1", &few]);
    assert!(error.contains("the share a missed fraud costs = -1"), "{error}");
    assert!(!Path::new(out).exists());
}
