//! What several annotators agree on.

use domain::TruthLabel;
use jiff::Timestamp;

use super::item::{Choice, Vote};

/// The votes on one transaction.
#[derive(Debug, Default)]
pub(crate) struct Votes(Vec<Vote>);

/// What they come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Nobody chose a label.
    Nothing,
    /// As many for the one as for the other.
    Tie { fraud: usize, legitimate: usize },
    /// More for this one. `at` is when the last of them said so.
    Label { label: TruthLabel, at: Timestamp, votes: usize, against: usize },
}

impl Votes {
    /// Counts a vote. A person has one for each transaction: the latest.
    pub(crate) fn add(&mut self, vote: Vote) {
        let same =
            |known: &&mut Vote| vote.annotator.is_some() && known.annotator == vote.annotator;
        match self.0.iter_mut().find(same) {
            Some(known) if known.at <= vote.at => *known = vote,
            Some(_) => {}
            None => self.0.push(vote),
        }
    }

    /// The majority. Those who are unsure abstain; where some votes are marked as the truth, no
    /// others count.
    pub(crate) fn agreement(&self) -> Agreement {
        let truth_known = self.0.iter().any(|vote| vote.is_ground_truth);
        let times = |label| -> Vec<Timestamp> {
            self.0
                .iter()
                .filter(|vote| vote.is_ground_truth || !truth_known)
                .filter(|vote| vote.choice == Choice::Label(label))
                .map(|vote| vote.at)
                .collect()
        };
        let (fraud, legitimate) = (times(TruthLabel::Fraud), times(TruthLabel::Legitimate));
        let (label, won, lost) = match fraud.len().cmp(&legitimate.len()) {
            std::cmp::Ordering::Greater => (TruthLabel::Fraud, &fraud, &legitimate),
            std::cmp::Ordering::Less => (TruthLabel::Legitimate, &legitimate, &fraud),
            std::cmp::Ordering::Equal if fraud.is_empty() => return Agreement::Nothing,
            std::cmp::Ordering::Equal => {
                return Agreement::Tie { fraud: fraud.len(), legitimate: legitimate.len() };
            }
        };
        let at = won.iter().copied().max().unwrap_or_default();
        Agreement::Label { label, at, votes: won.len(), against: lost.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAUD: Choice = Choice::Label(TruthLabel::Fraud);
    const FAIR: Choice = Choice::Label(TruthLabel::Legitimate);

    fn of(votes: &[(&str, Choice, i64, bool)]) -> Agreement {
        let mut all = Votes::default();
        for (who, choice, second, truth) in votes {
            all.add(Vote {
                annotator: (!who.is_empty()).then(|| (*who).to_owned()),
                choice: *choice,
                at: Timestamp::from_second(*second).unwrap(),
                is_ground_truth: *truth,
            });
        }
        all.agreement()
    }

    fn label(label: TruthLabel, second: i64, votes: usize, against: usize) -> Agreement {
        Agreement::Label { label, at: Timestamp::from_second(second).unwrap(), votes, against }
    }

    #[test]
    fn the_majority_decides_and_its_last_vote_tells_the_time() {
        let votes = [("a", FRAUD, 1, false), ("b", FRAUD, 5, false), ("c", FAIR, 9, false)];
        assert_eq!(of(&votes), label(TruthLabel::Fraud, 5, 2, 1));
    }

    #[test]
    fn a_tie_is_no_label_and_neither_is_doubt() {
        let votes =
            [("a", FRAUD, 1, false), ("b", FAIR, 2, false), ("c", Choice::Unsure, 3, false)];
        assert_eq!(of(&votes), Agreement::Tie { fraud: 1, legitimate: 1 });
        assert_eq!(of(&[("a", Choice::Unsure, 1, false)]), Agreement::Nothing);
    }

    #[test]
    fn a_person_who_votes_again_has_changed_their_mind() {
        let votes = [("a", FRAUD, 1, false), ("a", FAIR, 2, false)];
        assert_eq!(of(&votes), label(TruthLabel::Legitimate, 2, 1, 0));
        let votes = [("a", FAIR, 2, false), ("a", FRAUD, 1, false)];
        assert_eq!(of(&votes), label(TruthLabel::Legitimate, 2, 1, 0));
        let nameless = [("", FRAUD, 1, false), ("", FRAUD, 2, false)];
        assert_eq!(of(&nameless), label(TruthLabel::Fraud, 2, 2, 0));
    }

    #[test]
    fn what_is_marked_as_the_truth_outvotes_all_others() {
        let votes = [("a", FRAUD, 1, false), ("b", FRAUD, 2, false), ("c", FAIR, 3, true)];
        assert_eq!(of(&votes), label(TruthLabel::Legitimate, 3, 1, 0));
    }
}
