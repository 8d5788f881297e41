//! Which of several labels is in force.

use domain::{Label, TruthLabel};

/// The label in force after these, in the order of recording, as velocity sees it: the latest of two
/// that contradict each other wins until it is reversed, a reversed one brings back what it
/// contradicted, and a fraud is known from the earliest time that any source knew it.
pub fn standing(labels: impl IntoIterator<Item = Label>) -> Option<Label> {
    let (mut fraud, mut legitimate): (Option<Label>, Option<Label>) = (None, None);
    for label in labels {
        match (label.label, label.reversed) {
            (TruthLabel::Fraud, false) => {
                if fraud.is_none_or(|known| label.effective_at < known.effective_at) {
                    fraud = Some(label);
                }
                legitimate = None;
            }
            (TruthLabel::Fraud, true) => fraud = None,
            (TruthLabel::Legitimate, reversed) => legitimate = (!reversed).then_some(label),
        }
    }
    legitimate.or(fraud)
}

#[cfg(test)]
mod tests {
    use domain::LabelSource;
    use jiff::Timestamp;

    use super::*;

    const FRAUD: TruthLabel = TruthLabel::Fraud;
    const FAIR: TruthLabel = TruthLabel::Legitimate;

    fn of(labels: &[(TruthLabel, bool, i64)]) -> Option<(TruthLabel, i64)> {
        let label = |&(label, reversed, second): &(TruthLabel, bool, i64)| Label {
            label,
            source: LabelSource::Analyst,
            effective_at: Timestamp::from_second(second).unwrap(),
            reversed,
        };
        let standing = standing(labels.iter().map(label))?;
        Some((standing.label, standing.effective_at.as_second()))
    }

    #[test]
    fn the_latest_label_wins_until_it_is_reversed() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(FRAUD, false, 1)]), Some((FRAUD, 1)));
        assert_eq!(of(&[(FRAUD, false, 1), (FAIR, false, 2)]), Some((FAIR, 2)));
        assert_eq!(of(&[(FRAUD, false, 1), (FAIR, false, 2), (FAIR, true, 3)]), Some((FRAUD, 1)));
        assert_eq!(of(&[(FRAUD, false, 1), (FRAUD, true, 2)]), None);
        assert_eq!(of(&[(FAIR, false, 1), (FRAUD, false, 2)]), Some((FRAUD, 2)));
    }

    #[test]
    fn a_fraud_is_known_from_the_earliest_time() {
        assert_eq!(of(&[(FRAUD, false, 5), (FRAUD, false, 3)]), Some((FRAUD, 3)));
        assert_eq!(of(&[(FRAUD, false, 3), (FRAUD, false, 5)]), Some((FRAUD, 3)));
    }
}
