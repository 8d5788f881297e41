//! Goes through the recorded decisions of a period.

use domain::Label;
use export::standing;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ledger::{DecisionFilter, Ledger, StoredDecision};

/// How many decisions are held at once.
const PAGE: usize = 500;

/// Which decisions; open ends mean all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

/// Gives each decision, oldest first, with the label in force.
pub(super) async fn walk(
    ledger: &Ledger,
    period: Period,
    mut each: impl FnMut(&StoredDecision, Option<Label>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{pos} decisions  {per_sec}  {elapsed_precise}")?);
    let Period { since, until } = period;
    let mut filter = DecisionFilter { since, until, limit: PAGE, ..DecisionFilter::default() };
    loop {
        let page = ledger.decisions(filter.clone()).await?;
        let contents = page.items.iter().filter_map(|stored| stored.content.as_ref());
        let ids: Vec<_> = contents.map(|content| content.transaction_id.clone()).collect();
        let labels = ledger.labels_for(&ids).await?;
        for stored in &page.items {
            let id = stored.content.as_ref().map(|content| &content.transaction_id);
            let known = id.and_then(|id| labels.get(id)).map_or(&[][..], Vec::as_slice);
            each(stored, standing(known.iter().map(|stored| stored.label)))?;
        }
        bar.inc(page.items.len() as u64);
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => break,
        }
    }
    bar.finish_and_clear();
    Ok(())
}
