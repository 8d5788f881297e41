//! Fits on the earlier labels, judges on the later ones.

use anyhow::{Context, bail, ensure};
use evaluation::{
    Bin, Isotonic, Labelled, Platt, Proper, Sample, Spending, auc, average_precision,
    log_loss_difference, proper, reliability,
};
use package::Calibration;
use serde::Serialize;

use super::{Method, collect::Scored};

/// Fewer frauds than this on either side of the split make neither a fit nor a judgement.
const FRAUDS_MIN: usize = 10;

/// Labels by time.
#[derive(Debug)]
pub(super) struct Split<'a> {
    /// The earlier ones.
    pub(super) fit: &'a [Scored],
    /// The later ones, behind the gap.
    pub(super) held: &'a [Scored],
}

/// One calibration on the later labels.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Judged {
    /// `present`, `platt` or `isotonic`.
    pub(super) name: &'static str,
    pub(super) calibration: Calibration,
    pub(super) proper: Proper,
    pub(super) auc: f64,
    pub(super) average_precision: f64,
    /// Log loss above the present calibration's on the same transactions, in nats: its mean and
    /// the standard error of it.
    pub(super) log_loss_above_present: (f64, f64),
    pub(super) bins: Vec<Bin>,
}

/// Which calibration, and why.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    pub(super) judged: Vec<Judged>,
    /// Fits that were not possible, with the reason.
    pub(super) refused: Vec<(&'static str, String)>,
    /// The name of the chosen one.
    chosen: &'static str,
    pub(super) why: String,
}

impl<'a> Split<'a> {
    /// Parts labels that are in order of time.
    pub(super) fn of(
        labelled: &'a [Scored],
        fit_share: f64,
        gap_days: f64,
    ) -> anyhow::Result<Self> {
        let frauds = count_frauds(labelled);
        ensure!(
            !labelled.is_empty(),
            "no line has a label: each needs \"label\": \"fraud\" or \"legitimate\""
        );
        if frauds == 0 || frauds == labelled.len() {
            bail!(
                "all labels are of one class ({frauds} fraud, {} legitimate); both are needed",
                labelled.len() - frauds
            );
        }
        let end = ((labelled.len() as f64 * fit_share) as usize).clamp(1, labelled.len());
        let (fit, later) = labelled.split_at(end);
        let last = fit.last().context("an empty earlier share")?.at;
        let gap_seconds = (gap_days * 86_400.0) as i64;
        let young = |scored: &Scored| scored.at.as_second() - last.as_second() < gap_seconds;
        let held = &later[later.partition_point(young)..];
        for (name, part) in [("earlier", fit), ("later", held)] {
            let (frauds, all) = (count_frauds(part), part.len());
            ensure!(
                frauds >= FRAUDS_MIN && all - frauds >= FRAUDS_MIN,
                "the {name} labels are too few: {frauds} fraud and {} legitimate, {FRAUDS_MIN} of \
                 each are needed; move --fit-share, or bring more labels",
                all - frauds
            );
        }
        Ok(Self { fit, held })
    }

    /// The later labels with calibrated scores and amounts.
    pub(super) fn spending(&self, calibration: &Calibration) -> Vec<Spending> {
        let spending = |scored: &Scored| Spending {
            score: calibration.probability(scored.margin),
            amount: scored.amount,
            fraud: scored.fraud,
        };
        self.held.iter().map(spending).collect()
    }
}

impl Verdict {
    /// Fits, judges and chooses.
    pub(super) fn reach(
        split: &Split<'_>,
        present: &Calibration,
        method: Method,
        bins: usize,
    ) -> anyhow::Result<Self> {
        let fit = sample(split.fit)?;
        let held = sample(split.held)?;
        let mut refused = Vec::new();
        let mut candidates = vec![("present", present.clone())];
        match Platt::fit(&fit) {
            Ok(Platt { a, b }) => candidates.push(("platt", Calibration::Platt { a, b })),
            Err(error) => refused.push(("platt", error.to_string())),
        }
        match Isotonic::fit(&fit) {
            Ok(Isotonic { margins, probabilities }) => {
                candidates.push(("isotonic", Calibration::Isotonic { margins, probabilities }));
            }
            Err(error) => refused.push(("isotonic", error.to_string())),
        }
        let judged = candidates
            .into_iter()
            .map(|(name, calibration)| judge(name, calibration, present, split, (&held, bins)))
            .collect::<Result<Vec<_>, _>>()?;
        let (chosen, why) = choose(&judged, &refused, method)?;
        let chosen = judged[chosen].name;
        Ok(Self { judged, refused, chosen, why })
    }

    /// The chosen calibration.
    pub(super) fn chosen(&self) -> &Calibration {
        let chosen = self.judged.iter().find(|judged| judged.name == self.chosen);
        &chosen.unwrap_or(&self.judged[0]).calibration
    }

    /// The package's own calibration.
    pub(super) fn present(&self) -> &Calibration {
        &self.judged[0].calibration
    }

    /// The chosen one's name.
    pub(super) fn chosen_name(&self) -> &'static str {
        self.chosen
    }
}

fn judge(
    name: &'static str,
    calibration: Calibration,
    present: &Calibration,
    split: &Split<'_>,
    (held, bins): (&Sample, usize),
) -> anyhow::Result<Judged> {
    let calibrated = held.map(|margin| calibration.probability(margin))?;
    let pair = |scored: &Scored| {
        let margin = scored.margin;
        (present.probability(margin), calibration.probability(margin), scored.fraud)
    };
    let pairs: Vec<_> = split.held.iter().map(pair).collect();
    Ok(Judged {
        name,
        proper: proper(&calibrated, bins),
        auc: auc(&calibrated),
        average_precision: average_precision(&calibrated),
        log_loss_above_present: log_loss_difference(&pairs),
        bins: reliability(&calibrated, bins, 0.95),
        calibration,
    })
}

fn choose(
    judged: &[Judged],
    refused: &[(&'static str, String)],
    method: Method,
) -> anyhow::Result<(usize, String)> {
    let named = |name: &str| {
        judged.iter().position(|judged| judged.name == name).with_context(|| {
            let reason = refused.iter().find(|(refused, _)| *refused == name);
            format!("{name} cannot be fitted: {}", reason.map_or("", |(_, why)| why))
        })
    };
    match method {
        Method::Present => return Ok((0, "as --method asked".into())),
        Method::Platt => return Ok((named("platt")?, "as --method asked".into())),
        Method::Isotonic => return Ok((named("isotonic")?, "as --method asked".into())),
        Method::Auto => {}
    }
    let best = judged
        .iter()
        .enumerate()
        .min_by(|(_, a), (_, b)| a.log_loss_above_present.0.total_cmp(&b.log_loss_above_present.0))
        .map_or(0, |(place, _)| place);
    let (mean, error) = judged[best].log_loss_above_present;
    if best == 0 {
        Ok((0, "no fit has a lower log loss on the later labels".into()))
    } else if -mean <= error {
        let why = format!(
            "{} is better on the later labels by {:.6} nats, no more than its standard error {error:.6}",
            judged[best].name, -mean
        );
        Ok((0, why))
    } else {
        let why = format!(
            "better than the present one on the later labels by {:.6} nats, standard error {error:.6}",
            -mean
        );
        Ok((best, why))
    }
}

fn sample(scored: &[Scored]) -> anyhow::Result<Sample> {
    let labelled = |s: &Scored| Labelled { score: s.margin, fraud: s.fraud };
    Ok(Sample::new(scored.iter().map(labelled).collect())?)
}

pub(super) fn count_frauds(scored: &[Scored]) -> usize {
    scored.iter().filter(|scored| scored.fraud).count()
}
