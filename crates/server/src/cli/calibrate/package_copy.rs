//! A copy of the package under another calibration.
//!
//! The golden vectors hold calibrated probabilities and the manifest holds hashes, so that a new
//! `[calibration]` alone would make a package that is refused: all three change together.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Component, Path},
};

use anyhow::{Context, bail, ensure};
use package::{Calibration, MANIFEST, Manifest, Package, REFERENCE};
use serde_json::Value;
use sha2::{Digest, Sha256};
use toml::Table;

/// Copies every file that the manifest lists, and the model card; changes calibration, golden
/// vectors, reference and version. The folder must be new or empty. `reference` is the text of
/// `reference.json`.
pub(super) fn write(
    package: &Package,
    dir: &Path,
    calibration: &Calibration,
    reference: &str,
) -> anyhow::Result<()> {
    let manifest = package.manifest().context(
        "--package-out needs a package with package.toml: a bare export has no calibration",
    )?;
    let empty = fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    ensure!(empty, "{}: --package-out needs a new or an empty folder", dir.display());
    let mut files = BTreeMap::new();
    for file in manifest.files.keys() {
        let mut bytes = read(&package.dir().join(file))?;
        if manifest.golden.as_ref().is_some_and(|golden| golden.file == *file) {
            bytes = golden(&bytes, package, manifest, calibration)?;
        }
        if file != REFERENCE {
            files.insert(file.clone(), bytes);
        }
    }
    files.insert(REFERENCE.to_owned(), reference.as_bytes().to_vec());
    let text = String::from_utf8(read(&package.dir().join(MANIFEST))?)?;
    let hashes = files.iter().map(|(file, bytes)| (file.clone(), hex(bytes).into())).collect();
    let text = rewritten(&text, calibration, hashes)?;
    files.insert(MANIFEST.to_owned(), text.into_bytes());
    let card = package.dir().join("MODEL_CARD.md");
    if card.is_file() {
        files.insert("MODEL_CARD.md".to_owned(), read(&card)?);
    }
    for (file, bytes) in &files {
        store(dir, file, bytes)?;
    }
    // What was written must open again: a mistake here would come up only at the next start.
    Package::open(dir).context("the package just written")?;
    Ok(())
}

fn store(dir: &Path, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(inside, "{file} is no path inside the package");
    let path = dir.join(file);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    fs::write(&path, bytes).with_context(|| format!("{}", path.display()))
}

/// The golden vectors with probabilities under the new calibration, from the logits beside them.
fn golden(
    bytes: &[u8],
    package: &Package,
    manifest: &Manifest,
    calibration: &Calibration,
) -> anyhow::Result<Vec<u8>> {
    let label = manifest.classifier.as_ref().map(|classifier| classifier.fraud_label.as_str());
    let label = label.context("only a classifier can be calibrated here")?;
    let config: Value = serde_json::from_slice(&read(&package.dir().join("config.json"))?)?;
    let fraud = fraud_index(&config, label)
        .with_context(|| format!("config.json names no label {label:?}"))?;
    let mut text = String::new();
    for (n, line) in std::str::from_utf8(bytes)?.lines().enumerate() {
        let mut vector: Value = serde_json::from_str(line)?;
        let logits: Vec<f64> =
            vector["logits"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let Some(margin) = margin(&logits, fraud) else {
            bail!("golden vector {} has no logit for {label:?}", n + 1);
        };
        vector["probability"] = calibration.probability(margin).into();
        writeln!(text, "{vector}")?;
    }
    Ok(text.into_bytes())
}

/// The place of the fraud label among the logits.
fn fraud_index(config: &Value, label: &str) -> Option<usize> {
    let labels = config["id2label"].as_object()?;
    let (id, _) = labels.iter().find(|(_, name)| name.as_str() == Some(label))?;
    id.parse().ok()
}

/// `z_fraud - ln(sum(exp(z_other)))`.
fn margin(logits: &[f64], fraud: usize) -> Option<f64> {
    let own = logits.get(fraud)?;
    let others = || logits.iter().enumerate().filter(|(n, _)| *n != fraud).map(|(_, z)| *z);
    let largest = others().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = others().map(|z| (z - largest).exp()).sum();
    largest.is_finite().then(|| own - largest - sum.ln())
}

fn rewritten(text: &str, calibration: &Calibration, files: Table) -> anyhow::Result<String> {
    let mut table: Table = text.parse()?;
    let version = table.get("version").and_then(toml::Value::as_str).unwrap_or_default();
    // Build metadata (semver.org, item 10): the same model, told apart.
    let plain = version.split('+').next().unwrap_or_default();
    let version = format!("{plain}+calibrated");
    table.insert("version".into(), version.into());
    table.insert("calibration".into(), toml::Value::try_from(calibration)?);
    table.insert("files".into(), files.into());
    Ok(toml::to_string(&table)?)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> (tempfile::TempDir, Package) {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("input.j2", "{{ x }}"),
            ("config.json", r#"{"id2label": {"0": "legitimate", "1": "fraud"}}"#),
            (
                "golden.jsonl",
                "{\"text\": \"t\", \"input_ids\": [1], \"logits\": [1.0, -1.5], \"probability\": 0.5}\n",
            ),
        ];
        let mut manifest = String::from(
            "format = 1\nkind = \"classifier\"\nname = \"n\"\nversion = \"1.2.0\"\n[classifier]\n\
             fraud_label = \"fraud\"\nmax_tokens = 8\ninput_template = \"input.j2\"\n[golden]\n\
             file = \"golden.jsonl\"\ntolerance = 0.0001\n[files]\n",
        );
        for (file, text) in files {
            fs::write(dir.path().join(file), text).unwrap();
            writeln!(manifest, "\"{file}\" = \"{}\"", hex(text.as_bytes())).unwrap();
        }
        fs::write(dir.path().join(MANIFEST), manifest).unwrap();
        let package = Package::open(dir.path()).unwrap();
        (dir, package)
    }

    #[test]
    fn the_copy_opens_with_the_new_calibration_its_golden_vectors_and_the_reference() {
        let (_source, package) = source();
        let to = tempfile::tempdir().unwrap();
        let table =
            Calibration::Isotonic { margins: vec![-5.0, 0.0], probabilities: vec![0.25, 0.75] };
        write(&package, to.path(), &table, "{}").unwrap();
        let copy = Package::open(to.path()).unwrap();
        assert_eq!(copy.manifest().unwrap().calibration, table);
        assert_eq!(
            (copy.version(), copy.reference().unwrap().as_deref()),
            ("1.2.0+calibrated", Some("{}"))
        );
        let golden: Vec<package::ClassifierGolden> =
            package::read_golden(&to.path().join("golden.jsonl")).unwrap();
        assert!((golden[0].probability - 0.5).abs() < 1e-12, "{golden:?}");
        assert_ne!(copy.sha256(), package.sha256());
    }

    #[test]
    fn nothing_is_written_over() {
        let (source, package) = source();
        let error = write(&package, source.path(), &Calibration::Identity, "{}").unwrap_err();
        assert!(error.to_string().contains("empty folder"), "{error}");
    }
}
