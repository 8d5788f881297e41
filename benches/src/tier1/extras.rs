//! What is measured beside the rounds: overload, many connections, the ledger, the footprint.

use std::time::Duration;

use super::{
    book::{Book, Sample},
    graph::Graph,
    http::{Load, Subject, measure},
    process::Server,
    rounds::sorted_limit,
    settings::Settings,
    texts::Text,
    weir::{self, Asking, Tuning},
};

/// The deadline that callers state under overload.
pub const DEADLINE: Duration = Duration::from_millis(200);
/// How many times the limit overload offers.
const OVERLOAD: f64 = 3.0;
/// Connections that the many are compared with.
const FEW: usize = 128;
/// Connections that all ask at once.
const BUSY: usize = 1_000;
/// Connections that do nothing.
const IDLE: usize = 2_000;
/// Workers of which the memory is compared.
pub const WORKERS: [usize; 3] = [1, 2, 4];

/// Everything these measurements share.
pub struct Extras<'a> {
    /// The model's name.
    pub model: &'a str,
    /// What is measured and how long.
    pub settings: &'a Settings,
    /// For single requests.
    pub client: &'a reqwest::Client,
    /// The texts.
    pub texts: &'a [Text],
    /// The graph that the product runs.
    pub graph: &'a Graph,
}

impl Extras<'_> {
    fn subject(&self, server: &Server, asking: Asking) -> Subject {
        weir::subject(server, self.texts, &self.graph.references, asking)
    }

    async fn start(&self, name: &str, tuning: Tuning) -> anyhow::Result<(Server, Duration)> {
        let package = &self.graph.dir;
        let (server, took) = weir::start(self.settings, self.client, name, package, tuning).await?;
        weir::backfill(self.client, &server, self.settings.history()).await?;
        Ok((server, took))
    }

    /// Three times what the machine can do, each request with a deadline.
    ///
    /// # Errors
    /// When the load cannot be made.
    pub async fn overload(&self, book: &mut Book, server: &Server) -> anyhow::Result<()> {
        let Some(limit) = sorted_limit(book, self.model, "fast") else { return Ok(()) };
        let asking = Asking { deadline: Some(DEADLINE), ..Asking::default() };
        let subject = self.subject(server, asking);
        for round in 0..self.settings.rounds as usize {
            let load = Load::open(limit * OVERLOAD, self.settings.window() * 2, round);
            let sample = measure(server, &subject, load).await?;
            book.add(self.model, &subject.name, "open, 300%, deadline", sample);
        }
        Ok(())
    }

    /// Many busy and many idle connections against few, with a queue that holds them all.
    ///
    /// # Errors
    /// When the server cannot be started or the load not be made.
    pub async fn connections(&self, book: &mut Book) -> anyhow::Result<()> {
        let tuning = Tuning { queue: Some(2 * BUSY), ..Tuning::default() };
        let (server, _) = self.start("weir fast, long queue", tuning).await?;
        let subject = self.subject(&server, Asking::default());
        let window = self.settings.window() * 2;
        for round in 0..self.settings.rounds as usize {
            let few = Load::closed(FEW, window, round);
            let many = Load::closed(BUSY, window, round);
            let idle = Load { idle_connections: IDLE, ..few };
            for (label, load) in
                [("128 busy", few), ("1000 busy", many), ("128 busy, 2000 idle", idle)]
            {
                let sample = measure(&server, &subject, load).await?;
                book.add(self.model, &subject.name, label, sample);
            }
        }
        Ok(())
    }

    /// Decisions that are recorded, against the same that are not.
    ///
    /// # Errors
    /// When the server cannot be started or the load not be made.
    pub async fn ledger(&self, book: &mut Book) -> anyhow::Result<()> {
        let (server, _) = self.start("weir fast", Tuning::default()).await?;
        let recorded = self.subject(&server, Asking { recorded: true, ..Asking::default() });
        let dry = self.subject(&server, Asking::default());
        // Recorded decisions move velocity: what follows is no longer the reference.
        let dry = Subject { checked: false, ..dry };
        for round in 0..self.settings.rounds as usize {
            for (label, subject) in [("closed, 32, dry", &dry), ("closed, 32, recorded", &recorded)]
            {
                let load = Load::closed(32, self.settings.window(), round);
                let sample = measure(&server, subject, load).await?;
                book.add(self.model, &subject.name, label, sample);
            }
        }
        Ok(())
    }

    /// Start-up time and memory for each number of workers, after some load.
    ///
    /// # Errors
    /// When a server cannot be started or the load not be made.
    pub async fn footprint(&self, book: &mut Book) -> anyhow::Result<()> {
        let figures = &mut Vec::new();
        for workers in WORKERS {
            let tuning = Tuning { workers: Some(workers), ..Tuning::default() };
            let (server, took) = self.start("weir fast", tuning).await?;
            let at_start = server.usage()?.memory;
            let subject = self.subject(&server, Asking::default());
            let load = Load::closed(32, self.settings.window(), 0);
            let _: Sample = measure(&server, &subject, load).await?;
            let label = |what: &str| format!("{}: {workers} workers: {what}", self.model);
            figures.push((label("start to ready, s"), took.as_secs_f64()));
            figures.push((label("memory when ready, MB"), at_start as f64 / 1e6));
            figures.push((label("memory under load, MB"), server.usage()?.memory as f64 / 1e6));
        }
        figures.push((format!("{}: graph, MB", self.model), self.graph.bytes as f64 / 1e6));
        book.figures.extend(figures.drain(..));
        Ok(())
    }
}

/// Memory in MB that each further worker takes, and the graph's size in MB.
#[must_use]
pub fn memory_per_worker(book: &Book, model: &str) -> Option<(f64, f64)> {
    let memory = |workers: usize| {
        let label = format!("{model}: {workers} workers: memory under load, MB");
        book.figures.get(&label).copied()
    };
    let [few, _, many] = WORKERS;
    let graph = *book.figures.get(&format!("{model}: graph, MB"))?;
    Some(((memory(many)? - memory(few)?) / (many - few) as f64, graph))
}
