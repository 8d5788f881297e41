//! The texts that tier 1 reads for the shipped sample, as a server sees them after the history.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::Context;
use domain::{ParseContext, Transaction};
use jiff::Timestamp;
use package::Template;
use prometheus::Registry;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use screening::{Facts, Renderer};
use serde_json::Value;
use velocity::VelocityStore;

/// The same order in every run.
const SEED: u64 = 1;

/// One transaction and what tier 1 reads of it.
#[derive(Debug, Clone)]
pub struct Text {
    /// The transaction as JSON.
    pub transaction: String,
    /// The rendered text.
    pub rendered: String,
}

/// Warms velocity with `history`, then renders each transaction of `payments` without counting
/// it, which is what a dry run does. Keeps at most `count` whose texts differ, shuffled, so that
/// no answer can come from a cache.
///
/// # Errors
/// When a file cannot be read or a line is no transaction.
pub fn read(
    template: Template,
    history: &Path,
    payments: &Path,
    count: usize,
) -> anyhow::Result<Vec<Text>> {
    let store = warm_store(history)?;
    let renderer = Renderer::new(template, None);
    let (mut texts, mut seen) = (Vec::new(), HashSet::new());
    for line in lines(payments)? {
        let (value, transaction) = parse(&line?)?;
        let velocity = store.peek(&transaction);
        let rendered = renderer.screening_text(&Facts::new(transaction, velocity))?;
        if seen.insert(rendered.clone()) {
            texts.push(Text { transaction: value.to_string(), rendered });
        }
    }
    texts.shuffle(&mut StdRng::seed_from_u64(SEED));
    texts.truncate(count);
    Ok(texts)
}

/// A velocity store that has counted every transaction of the file.
///
/// # Errors
/// When the file cannot be read or a line is no transaction.
pub fn warm_store(history: &Path) -> anyhow::Result<VelocityStore> {
    let store = VelocityStore::new(velocity::Config::default(), &Registry::new())?;
    for line in lines(history)? {
        store.observe(&parse(&line?)?.1);
    }
    Ok(store)
}

/// The transactions of an NDJSON file of samples.
///
/// # Errors
/// When the file cannot be read or a line is no transaction.
pub fn transactions(path: &Path) -> anyhow::Result<Vec<Transaction>> {
    lines(path)?.map(|line| Ok(parse(&line?)?.1)).collect()
}

fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = std::io::Result<String>>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(BufReader::new(file).lines().filter(|line| !matches!(line, Ok(line) if line.is_empty())))
}

fn parse(line: &str) -> anyhow::Result<(Value, Transaction)> {
    let mut value: Value = serde_json::from_str(line)?;
    let transaction = value.get_mut("transaction").map(Value::take).context("no transaction")?;
    let context = ParseContext { now: Timestamp::MAX };
    let parsed = Transaction::parse(&transaction, &context)?;
    Ok((transaction, parsed))
}
