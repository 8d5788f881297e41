//! Everything that is measured in turn, round after round.

use std::{collections::HashMap, io::Write};

use super::{
    bare::{drive, lone},
    book::Book,
    graph::Graph,
    http::{Load, Subject, measure},
    limits::Prepared,
    online::Picker,
    process::Server,
    settings::{Part, Settings},
};

/// Connections of the closed loops.
pub const CONNECTIONS: [usize; 4] = [1, 8, 32, 128];
/// Sizes of the online limit's pool.
pub const POOLS: [usize; 3] = [8, 32, 128];
/// Sizes of the sorted batches.
pub const SORTED: [usize; 4] = [2, 4, 8, 16];
/// Offered loads, in percent of the sorted limit.
pub const OFFERED: [u32; 2] = [50, 80];
/// The version of the graph that the others serve.
const PLAIN: &str = "plain";
/// How many pickers stay in the race after the first look.
const FINALISTS: usize = 2;
/// Texts by which each round starts later than the one before.
const STEP: usize = 97;

/// A server that is measured, and on which graph its limits are.
pub struct Contestant<'a> {
    /// Its processes.
    pub server: &'a Server,
    /// How it is asked.
    pub subject: &'a Subject,
    /// `plain` or `fast`.
    pub version: &'static str,
}

/// One model's rounds.
pub struct Rounds<'a> {
    /// The model's name.
    pub model: &'a str,
    /// What is measured and how long.
    pub settings: &'a Settings,
    /// Both versions of the graph, by name.
    pub graphs: Vec<(&'static str, Graph)>,
    /// Which pickers are measured, by version and size of the pool.
    pub pickers: HashMap<(&'static str, usize), Vec<Picker>>,
}

impl Rounds<'_> {
    /// Tries every picker once and keeps the best, and the product's own in any case.
    ///
    /// # Errors
    /// When the model fails.
    pub fn choose_pickers(&mut self) -> anyhow::Result<()> {
        let window = self.settings.window() / 2;
        for (version, graph) in &mut self.graphs {
            for size in POOLS {
                let mut rates = Vec::new();
                for picker in Picker::all() {
                    let mut pool = picker.pool(graph, size, 0);
                    rates.push((drive(graph, pool.as_mut(), window)?.per_second, picker));
                }
                rates.sort_by(|a, b| b.0.total_cmp(&a.0));
                let mut finalists: Vec<Picker> =
                    rates.into_iter().map(|(_, picker)| picker).take(FINALISTS).collect();
                if !finalists.contains(&Picker::Scheduler) {
                    finalists.push(Picker::Scheduler);
                }
                self.pickers.insert((version, size), finalists);
            }
        }
        Ok(())
    }

    /// The graph alone: batches of one, sorted batches, lone calls.
    ///
    /// # Errors
    /// When the model fails.
    pub fn bare(&mut self, book: &mut Book, round: usize) -> anyhow::Result<()> {
        let (window, first) = (self.settings.window(), round * STEP);
        for (version, graph) in &mut self.graphs {
            let subject = format!("bare {version}");
            let mut arrival = Prepared::arrival(graph, first);
            let sample = drive(graph, &mut arrival, window)?;
            book.add(self.model, &subject, "one by one", sample);
            for size in SORTED {
                let mut sorted = Prepared::sorted(graph, size, first);
                let sample = drive(graph, &mut sorted, window)?;
                book.add(self.model, &subject, &sorted_load(size), sample);
            }
        }
        Ok(())
    }

    /// Lone calls, on one thread and on all.
    ///
    /// # Errors
    /// When the model fails.
    fn lone(&mut self, book: &mut Book, round: usize) -> anyhow::Result<()> {
        let (window, first) = (self.settings.window(), round * STEP);
        for (version, graph) in &mut self.graphs {
            let subject = format!("bare {version}");
            let encoded = &graph.encoded;
            if let Some(worker) = graph.workers.first_mut() {
                let sample = lone(worker, encoded, first, window)?;
                book.add(self.model, &subject, "lone, 1 thread", sample);
            }
            let sample = lone(&mut graph.wide, encoded, first, window)?;
            book.add(self.model, &subject, "lone, all threads", sample);
        }
        Ok(())
    }

    fn online(&mut self, book: &mut Book, size: usize, round: usize) -> anyhow::Result<()> {
        for (version, graph) in &mut self.graphs {
            for picker in self.pickers.get(&(*version, size)).into_iter().flatten() {
                let mut pool = picker.pool(graph, size, round * STEP);
                let sample = drive(graph, pool.as_mut(), self.settings.window())?;
                let load = online_load(size, *picker);
                book.add(self.model, &format!("online {version}"), &load, sample);
            }
        }
        Ok(())
    }

    /// One round: the graph alone and every server in turn, load by load.
    ///
    /// # Errors
    /// When the model or a load fails.
    pub async fn round(
        &mut self,
        book: &mut Book,
        round: usize,
        contestants: &[Contestant<'_>],
    ) -> anyhow::Result<()> {
        let (window, first) = (self.settings.window(), round * STEP);
        let bare = self.settings.wants(Part::Bare);
        if bare || self.settings.wants(Part::Open) || self.settings.wants(Part::Overload) {
            self.bare(book, round)?;
        }
        for connections in CONNECTIONS {
            if bare && connections == 1 {
                self.lone(book, round)?;
            }
            if self.settings.wants(Part::Online) {
                self.online(book, connections, round)?;
            }
            if !self.settings.wants(Part::Closed) {
                continue;
            }
            for contestant in contestants {
                // A queue of a hundred takes a while to pass once.
                let window = if connections > POOLS[1] { window * 2 } else { window };
                let load = Load::closed(connections, window, first);
                let sample = measure(contestant.server, contestant.subject, load).await?;
                let label = closed_load(connections);
                book.add(self.model, &contestant.subject.name, &label, sample);
            }
        }
        if self.settings.wants(Part::Open) {
            self.open(book, round, contestants).await?;
        }
        Ok(())
    }

    async fn open(
        &self,
        book: &mut Book,
        round: usize,
        contestants: &[Contestant<'_>],
    ) -> anyhow::Result<()> {
        for percent in OFFERED {
            for contestant in contestants {
                let offered = Offered { version: contestant.version, percent };
                self.offer(book, round, contestant, (offered, open_load(percent))).await?;
                if contestant.version != PLAIN {
                    // As many as the others are offered, who have only the plain graph.
                    let offered = Offered { version: PLAIN, percent };
                    let label = open_load_of_plain(percent);
                    self.offer(book, round, contestant, (offered, label)).await?;
                }
            }
        }
        Ok(())
    }

    async fn offer(
        &self,
        book: &mut Book,
        round: usize,
        contestant: &Contestant<'_>,
        (offered, label): (Offered, String),
    ) -> anyhow::Result<()> {
        let limit = sorted_limit(book, self.model, offered.version).unwrap_or(100.0);
        let rate = limit * f64::from(offered.percent) / 100.0;
        let load = Load::open(rate, self.settings.window() * 2, round * STEP);
        let sample = measure(contestant.server, contestant.subject, load).await?;
        book.add(self.model, &contestant.subject.name, &label, sample);
        Ok(())
    }
}

/// A share of what the hardware allows with one version of the graph.
struct Offered {
    version: &'static str,
    percent: u32,
}

/// Tells what is going on.
///
/// # Errors
/// When the message cannot be written.
pub fn tell(out: &mut dyn Write, message: &str) -> std::io::Result<()> {
    writeln!(out, "{message}")?;
    out.flush()
}

/// The table's word for a closed loop.
#[must_use]
pub fn closed_load(connections: usize) -> String {
    format!("closed, {connections}")
}

/// The table's word for an open loop.
#[must_use]
pub fn open_load(percent: u32) -> String {
    format!("open, {percent}%")
}

/// The table's word for an open loop at a share of the plain graph's limit.
#[must_use]
pub fn open_load_of_plain(percent: u32) -> String {
    format!("open, {percent}% of the plain limit")
}

/// The table's word for sorted batches.
#[must_use]
pub fn sorted_load(size: usize) -> String {
    format!("sorted batches of {size}")
}

/// The table's word for a picker at a pool.
#[must_use]
pub fn online_load(size: usize, picker: Picker) -> String {
    format!("pool of {size}, {}", picker.name())
}

/// What the hardware allows when all texts are at hand: the best of batches of one and of sorted
/// batches, by medians over the rounds so far, in texts per second.
#[must_use]
pub fn sorted_limit(book: &Book, model: &str, version: &str) -> Option<f64> {
    let subject = format!("bare {version}");
    let loads = SORTED.map(sorted_load).into_iter().chain(["one by one".to_owned()]);
    let rates =
        loads.filter_map(|load| book.median(model, &subject, &load, |sample| sample.per_second));
    rates.max_by(f64::total_cmp)
}
