//! What was measured, by name; and what it has to be.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
};

use serde_json::json;

/// One name's samples, in the order of the rounds.
#[derive(Debug, Default)]
pub struct Figures {
    samples: BTreeMap<String, Vec<f64>>,
    targets: Vec<Target>,
}

/// A ratio that has to be at least, or at most, something.
#[derive(Debug, Clone)]
struct Target {
    what: String,
    found: f64,
    wanted: Wanted,
}

/// How a figure is judged.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Wanted {
    fn holds(self, found: f64) -> bool {
        match self {
            Self::AtLeast(least) => found >= least,
            Self::AtMost(most) => found <= most,
        }
    }
}

impl Figures {
    /// Adds one round's figure.
    pub fn add(&mut self, name: &str, value: f64) {
        self.samples.entry(name.to_owned()).or_default().push(value);
    }

    /// The median of a name's samples.
    #[must_use]
    pub fn median(&self, name: &str) -> Option<f64> {
        let mut samples = self.samples.get(name)?.clone();
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied()
    }

    /// The median of the ratios of each round; drift of the machine drops out.
    #[must_use]
    pub fn ratio(&self, above: &str, below: &str) -> Option<f64> {
        let (above, below) = (self.samples.get(above)?, self.samples.get(below)?);
        let mut ratios: Vec<f64> = above.iter().zip(below).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    }

    /// Judges a figure; one that was not measured is passed over.
    pub fn judge(&mut self, what: &str, found: Option<f64>, wanted: Wanted) {
        if let Some(found) = found {
            self.targets.push(Target { what: what.to_owned(), found, wanted });
        }
    }

    /// All medians whose names start so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn table(&self, out: &mut dyn Write, start: &str) -> io::Result<()> {
        for name in self.samples.keys().filter(|name| name.starts_with(start)) {
            let samples = &self.samples[name];
            let median = self.median(name).unwrap_or(f64::NAN);
            let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
            let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            writeln!(out, "  {name:<72} {median:>10.3}  ({least:.3} to {most:.3})")?;
        }
        out.flush()
    }

    /// What had to hold, and whether it does.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn verdicts(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\ntargets")?;
        for Target { what, found, wanted } in &self.targets {
            let (sign, bound) = match wanted {
                Wanted::AtLeast(bound) => (">=", bound),
                Wanted::AtMost(bound) => ("<=", bound),
            };
            let word = if wanted.holds(*found) { "met" } else { "MISSED" };
            writeln!(out, "  {word:<7} {what:<72} {found:>8.3} {sign} {bound}")?;
        }
        out.flush()
    }

    /// Everything, for machines.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let targets: Vec<_> = self
            .targets
            .iter()
            .map(|target| {
                let holds = target.wanted.holds(target.found);
                json!({ "what": target.what, "found": target.found, "holds": holds })
            })
            .collect();
        let all = json!({ "samples": self.samples, "targets": targets });
        Ok(std::fs::write(path, serde_json::to_string_pretty(&all)?)?)
    }
}
