//! Puts the measurements of one model together.

use std::{collections::HashMap, io::Write};

use anyhow::{Context, bail};
use onnx::{Runtime, RuntimeConfig};
use package::Package;

use super::{
    book::Book,
    extras::Extras,
    graph::Graph,
    http::Subject,
    peers,
    process::Server,
    report,
    rounds::{Contestant, Rounds, tell},
    settings::{Model, Part, Settings},
    targets::{Target, judge},
    texts::{self, Text},
    weir::{self, Asking, Tuning},
};

/// Measures all models asked for and prints as it goes.
///
/// # Errors
/// When something failed to run, or a score of Weir's was wrong.
pub async fn run(settings: &Settings, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let models = settings.models();
    if models.is_empty() {
        bail!("no graphs in {}; see benches/tier1/graphs", settings.graphs.display());
    }
    let runtime = Runtime::load(&RuntimeConfig::default())?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let (mut book, mut targets, mut notes) = (Book::default(), Vec::new(), Vec::new());
    for model in &models {
        tell(out, &format!("{} on {}", model.name, report::cpu()))?;
        if model.plain == model.fast {
            tell(out, "  no fast version was made: both are the shipped package")?;
        }
        let bench = Bench { settings, model, client: &client };
        notes.extend(bench.measure(&runtime, &mut book, out).await?);
        report::table(out, &book, model.name)?;
        report::findings(out, &book, model.name)?;
        targets.extend(judge(&book, model.name));
        report::json(&settings.json, &book, &targets, &notes)?;
    }
    report::quietness(out, &book)?;
    report::verdicts(out, &targets)?;
    tell(out, &format!("\nall samples: {}", settings.json.display()))?;
    right(&targets)
}

/// A wrong score is no missed target but a failure.
fn right(targets: &[Target]) -> anyhow::Result<()> {
    let scores =
        |target: &&Target| target.what.starts_with("scores") && target.holds == Some(false);
    match targets.iter().find(scores) {
        Some(target) => bail!("{}: a score differs from the reference", target.model),
        None => Ok(()),
    }
}

struct Bench<'a> {
    settings: &'a Settings,
    model: &'a Model,
    client: &'a reqwest::Client,
}

impl Bench<'_> {
    async fn measure(
        &self,
        runtime: &Runtime,
        book: &mut Book,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<Vec<String>> {
        let settings = self.settings;
        let texts = self.texts()?;
        tell(out, &format!("  {} different texts; loading and scoring each alone", texts.len()))?;
        let cores = std::thread::available_parallelism()?.get();
        let plain = Graph::load(runtime, &self.model.plain, &texts, cores)?;
        let fast = Graph::load(runtime, &self.model.fast, &texts, cores)?;
        let (ours, peers) = self.servers(&texts, [&fast, &plain], out).await?;
        let mut rounds = Rounds {
            model: self.model.name,
            settings,
            graphs: vec![("fast", fast), ("plain", plain)],
            pickers: HashMap::new(),
        };
        if settings.wants(Part::Online) {
            tell(out, "  choosing the online limit's pickers")?;
            rounds.choose_pickers()?;
        }
        let mut contestants: Vec<Contestant<'_>> = ours
            .iter()
            .map(|(server, subject, version)| Contestant { server, subject, version })
            .collect();
        contestants.extend(peers.iter().map(|peer| Contestant {
            server: &peer.server,
            subject: &peer.subject,
            version: "plain",
        }));
        for round in 0..settings.rounds as usize {
            tell(out, &format!("  round {} of {}", round + 1, settings.rounds))?;
            rounds.round(book, round, &contestants).await?;
        }
        let notes = peers.iter().map(|peer| format!("{}: {}", self.model.name, peer.settings));
        let notes: Vec<String> = notes.collect();
        drop(peers);
        let (_, graph) = rounds.graphs.first().context("no graph")?;
        let extras =
            Extras { model: self.model.name, settings, client: self.client, texts: &texts, graph };
        self.extras(&extras, book, &ours, out).await?;
        Ok(notes)
    }

    fn texts(&self) -> anyhow::Result<Vec<Text>> {
        let settings = self.settings;
        let package = Package::open(&self.model.fast)?;
        let template = package.template()?.context("the package has no template")?;
        texts::read(template, settings.history(), settings.payments(), settings.texts)
    }

    /// Weir on both graphs, and the peers on the plain one.
    async fn servers(
        &self,
        texts: &[Text],
        [fast, plain]: [&Graph; 2],
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<(Vec<(Server, Subject, &'static str)>, Vec<peers::Running>)> {
        let settings = self.settings;
        let mut ours = Vec::new();
        if [Part::Closed, Part::Open, Part::Overload].iter().any(|part| settings.wants(*part)) {
            for (version, graph) in [("fast", fast), ("plain", plain)] {
                let name = format!("weir {version}");
                let tuning = Tuning::default();
                let (server, _) =
                    weir::start(settings, self.client, &name, &graph.dir, tuning).await?;
                weir::backfill(self.client, &server, settings.history()).await?;
                let subject = weir::subject(&server, texts, &graph.references, Asking::default());
                ours.push((server, subject, version));
            }
        }
        let mut others = Vec::new();
        if settings.wants(Part::Peers) {
            tell(out, "  starting the peers and choosing their settings")?;
            let references = &plain.references;
            others = peers::start(settings, self.client, &plain.dir, texts, references).await?;
            for peer in &others {
                tell(out, &format!("    {}", peer.settings))?;
            }
        }
        Ok((ours, others))
    }

    async fn extras(
        &self,
        extras: &Extras<'_>,
        book: &mut Book,
        ours: &[(Server, Subject, &'static str)],
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        let wants = |part| self.settings.wants(part);
        if wants(Part::Overload)
            && let Some((server, ..)) = ours.first()
        {
            tell(out, "  overload")?;
            extras.overload(book, server).await?;
        }
        if wants(Part::Connections) {
            tell(out, "  connections")?;
            extras.connections(book).await?;
        }
        if wants(Part::Ledger) {
            tell(out, "  ledger")?;
            extras.ledger(book).await?;
        }
        if wants(Part::Footprint) {
            tell(out, "  start-up and memory")?;
            extras.footprint(book).await?;
        }
        Ok(())
    }
}
