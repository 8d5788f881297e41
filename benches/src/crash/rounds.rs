//! Kill, start, look; and again.

use std::{io::Write, path::PathBuf, sync::Arc, time::Duration};

use anyhow::bail;
use clap::Parser;
use rand::RngExt;
use reqwest::Client;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{
    book::{Book, Faults},
    client::{Counter, callers},
    service::{Setup, default_binary},
};

/// Kills the service with SIGKILL at a random moment under load, many times, and counts what was
/// lost: answered decisions, promised analyses, decisions finalised twice, requests paid for twice.
/// The chain of hashes is verified after each kill.
///
/// Examples:
///   bench-crash
///   scripts/with-postgres target/release/bench-crash --rounds 100
#[derive(Debug, Parser)]
#[command(name = "bench-crash", verbatim_doc_comment)]
pub struct Settings {
    /// How often the service is killed.
    #[arg(long, value_name = "N", default_value_t = 100)]
    rounds: u32,
    /// The longest that a round is under load before the kill, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1500)]
    load_ms: u64,
    /// Callers at once.
    #[arg(long, value_name = "N", default_value_t = 8)]
    callers: usize,
    /// The service's binary.
    #[arg(long, value_name = "FILE", default_value_os_t = default_binary())]
    weir: PathBuf,
    /// A file with the URL of an empty PostgreSQL database; SQLite without it.
    #[arg(long, value_name = "FILE", env = "POSTGRES_URL_FILE")]
    postgres_url_file: Option<PathBuf>,
}

/// How long nothing of what is owed may come before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs all rounds; fails when anything was lost.
///
/// # Errors
/// When something was lost, or the service could not be run.
pub async fn run(settings: &Settings, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let store = if settings.postgres_url_file.is_some() { "PostgreSQL" } else { "SQLite" };
    let setup = Setup {
        weir: settings.weir.clone(),
        folder: folder.path().to_owned(),
        url_file: settings.postgres_url_file.clone(),
    };
    setup.prepare()?;
    let (book, counter) = (Arc::new(Book::default()), Arc::new(Counter::default()));
    let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
    let mut faults = Faults::default();
    for round in 1..=settings.rounds {
        let service = setup.start().await?;
        add(&mut faults, book.check(&client, &service.address).await?);
        let load = callers(settings.callers, &client, &service.address, &book, &counter);
        let moment = rand::rng().random_range(50..=settings.load_ms.max(51));
        sleep(Duration::from_millis(moment)).await;
        service.kill()?;
        load.join_all().await;
        setup.verify()?;
        if round % 10 == 0 || round == settings.rounds {
            let (answered, promised) = book.counts();
            writeln!(
                out,
                "{store}: {round} kills, {answered} decisions answered, {promised} promised \
                 ({} open), {faults:?}",
                book.open()
            )?;
        }
    }
    let service = setup.start().await?;
    let (mut open, mut progress) = (usize::MAX, Instant::now());
    while open > 0 && progress.elapsed() < PATIENCE {
        add(&mut faults, book.check(&client, &service.address).await?);
        if book.open() < open {
            (open, progress) = (book.open(), Instant::now());
        }
        sleep(Duration::from_millis(500)).await;
    }
    add(&mut faults, book.check_all(&client, &service.address).await?);
    service.kill()?;
    setup.verify()?;
    let (answered, promised) = book.counts();
    writeln!(
        out,
        "{store}: {} kills, {answered} decisions answered, {promised} analyses promised: {} answered \
         decisions missing, {} promised analyses lost, {} changed after they were final, {} requests \
         paid for twice; the chain verified after each kill",
        settings.rounds, faults.missing, faults.lost, faults.changed, faults.paid_twice
    )?;
    if !faults.is_none() {
        bail!("something was lost: {faults:?}");
    }
    Ok(())
}

fn add(total: &mut Faults, more: Faults) {
    total.missing += more.missing;
    total.lost += more.lost;
    total.changed += more.changed;
    total.paid_twice += more.paid_twice;
}
