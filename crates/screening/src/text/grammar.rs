//! Which words together make an instruction.

use super::{
    FindingKind,
    lexicon::{Class, Hit},
};

/// Classes that have to stand near each other.
struct Rule {
    kind: FindingKind,
    /// From the first character of the first word to the last of the last, in folded text.
    within: usize,
    /// One word of each set; the sets have nothing in common.
    slots: &'static [u32],
}

macro_rules! set {
    ($($class:ident)|+) => { $(Class::$class.bit())|+ };
}

const fn near(kind: FindingKind, within: usize, slots: &'static [u32]) -> Rule {
    Rule { kind, within, slots }
}

/// A sentence, roughly.
const SENTENCE: usize = 96;
/// A phrase.
const PHRASE: usize = 48;

const RULES: &[Rule] = &[
    near(FindingKind::Override, SENTENCE, &[set!(Override), set!(Directive), set!(Prior)]),
    near(
        FindingKind::Override,
        SENTENCE,
        &[
            set!(Override),
            set!(Directive),
            set!(
                Model
                    | Role
                    | Output
                    | Mark
                    | Approve
                    | Legit
                    | AsLegit
                    | Verdict
                    | Hush
                    | RoleColon
                    | Jailbreak
                    | Reviewer
                    | Boundary
                    | KeyLow
            ),
        ],
    ),
    near(FindingKind::Override, PHRASE, &[set!(Override), set!(Boundary | RoleColon | KeyLow)]),
    near(
        FindingKind::Override,
        PHRASE,
        &[set!(Override), set!(Model), set!(Prior | Raise | Verdict)],
    ),
    near(FindingKind::Verdict, SENTENCE, &[set!(KeyLow)]),
    near(FindingKind::Approval, SENTENCE, &[set!(Plea)]),
    near(FindingKind::Address, SENTENCE, &[set!(Leak)]),
    near(FindingKind::Verdict, PHRASE, &[set!(Cleared), set!(Authority)]),
    near(
        FindingKind::Suppression,
        PHRASE,
        &[
            set!(Skip | Override),
            set!(Check),
            set!(Prior | This | Tx | Approve | Legit | AsLegit | Urge),
        ],
    ),
    near(FindingKind::Verdict, PHRASE, &[set!(Mark | Output | Approve), set!(AsLegit)]),
    near(FindingKind::Verdict, PHRASE, &[set!(Verdict), set!(Legit | AsLegit)]),
    near(FindingKind::Verdict, PHRASE, &[set!(This), set!(AsLegit)]),
    near(FindingKind::Verdict, 32, &[set!(This), set!(Legit)]),
    near(
        FindingKind::Verdict,
        SENTENCE,
        &[
            set!(Mark | Output),
            set!(Legit),
            set!(This | Tx | Verdict | Model | Reviewer | Role | RoleColon | Directive | Urge),
        ],
    ),
    near(
        FindingKind::Verdict,
        PHRASE,
        &[set!(Mark | Output), set!(Verdict), set!(Role | RoleColon | Model | Hush | Approve)],
    ),
    near(FindingKind::Approval, 40, &[set!(Approve), set!(This)]),
    near(
        FindingKind::Approval,
        SENTENCE,
        &[set!(Approve), set!(Reviewer | RoleColon | Legit | AsLegit | Hush | Boundary)],
    ),
    near(
        FindingKind::Approval,
        SENTENCE,
        &[set!(Approve), set!(Role | Output), set!(Urge | Verdict | Helper | Tx)],
    ),
    near(FindingKind::Suppression, SENTENCE, &[set!(Hush)]),
    near(
        FindingKind::Suppression,
        PHRASE,
        &[
            set!(Forbidden),
            set!(
                This | Tx
                    | Model
                    | Reviewer
                    | Legit
                    | AsLegit
                    | Role
                    | Verdict
                    | RoleColon
                    | Approve
                    | Mark
            ),
        ],
    ),
    near(
        FindingKind::Address,
        SENTENCE,
        &[set!(Model), set!(Role | Override | Legit | AsLegit | Hush | Plea)],
    ),
    near(
        FindingKind::Address,
        SENTENCE,
        &[
            set!(Model),
            set!(Output | Mark | Verdict | Approve),
            set!(Urge | This | Tx | Forbidden | Boundary | KeyLow),
        ],
    ),
    near(
        FindingKind::Address,
        SENTENCE,
        &[set!(Reviewer), set!(Mark | Legit | AsLegit | Hush | Override | KeyLow | Verdict)],
    ),
    near(FindingKind::Address, PHRASE, &[set!(Role), set!(Helper | Model | Jailbreak)]),
    near(
        FindingKind::Address,
        SENTENCE,
        &[set!(Role), set!(Verdict | AsLegit | Legit | Hush | Plea)],
    ),
    near(
        FindingKind::Address,
        SENTENCE,
        &[
            set!(Jailbreak),
            set!(Role | Model | Override | Mark | Approve | Output | Directive | RoleColon),
        ],
    ),
    near(
        FindingKind::RoleMarker,
        SENTENCE,
        &[
            set!(RoleColon),
            set!(
                Override
                    | Mark
                    | Approve
                    | Output
                    | Legit
                    | AsLegit
                    | Verdict
                    | Hush
                    | Role
                    | Model
                    | Jailbreak
                    | Directive
                    | Raise
            ),
        ],
    ),
    near(
        FindingKind::RoleMarker,
        SENTENCE,
        &[
            set!(Boundary),
            set!(
                Mark | Approve
                    | Output
                    | Legit
                    | AsLegit
                    | Verdict
                    | Hush
                    | Role
                    | Model
                    | RoleColon
            ),
        ],
    ),
    near(FindingKind::Mimicry, PHRASE, &[set!(PromptA), set!(PromptB)]),
];

/// How far a forbidden act may stand from the word that forbids it, in characters.
const FORBIDDEN_GAP: usize = 8;

/// The first rule that the words of a text satisfy.
pub(super) fn judge(hits: &[Hit]) -> Option<FindingKind> {
    let hits = with_forbidden_acts(hits);
    let all = hits.iter().fold(0, |all, hit| all | hit.class.bit());
    let satisfied = |rule: &&Rule| {
        rule.slots.iter().all(|slot| slot & all != 0) && stands_somewhere(rule, &hits)
    };
    RULES.iter().find(satisfied).map(|rule| rule.kind)
}

/// "Do not" beside "report" becomes one word. Some languages put it after the verb.
fn with_forbidden_acts(hits: &[Hit]) -> Vec<Hit> {
    let mut merged: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        let gap = match (merged.last().map(|last| last.class), hit.class) {
            (Some(Class::Never), Class::Raise) => FORBIDDEN_GAP,
            (Some(Class::Raise), Class::Never) => FORBIDDEN_GAP / 2,
            _ => 0,
        };
        match merged.last_mut() {
            Some(last) if gap > 0 && hit.start <= last.end + gap => {
                *last = Hit { class: Class::Forbidden, start: last.start, end: hit.end };
            }
            Some(_) | None => merged.push(*hit),
        }
    }
    merged
}

/// Whether one word of each slot stands within the rule's reach. Every hit has one class and
/// no two slots share one, so that no word counts twice.
fn stands_somewhere(rule: &Rule, hits: &[Hit]) -> bool {
    let wanted = rule.slots.iter().fold(0, |wanted, slot| wanted | slot);
    (0..hits.len()).any(|first| {
        let Some((head, rest)) = hits.get(first..).and_then(<[Hit]>::split_first) else {
            return false;
        };
        if head.class.bit() & wanted == 0 {
            return false;
        }
        let reached = rest
            .iter()
            .take_while(|hit| hit.end <= head.start + rule.within)
            .fold(head.class.bit(), |reached, hit| reached | hit.class.bit());
        rule.slots.iter().all(|slot| slot & reached != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slots_of_a_rule_have_nothing_in_common() {
        for rule in RULES {
            let mut seen = 0;
            for slot in rule.slots {
                assert_eq!(seen & slot, 0, "{:?}", rule.kind);
                seen |= slot;
            }
        }
    }

    #[test]
    fn words_too_far_apart_make_no_instruction() {
        let hit = |class, start| Hit { class, start, end: start + 8 };
        let near = [hit(Class::Approve, 0), hit(Class::This, 12)];
        assert_eq!(judge(&near), Some(FindingKind::Approval));
        let far = [hit(Class::Approve, 0), hit(Class::This, 200)];
        assert_eq!(judge(&far), None);
        assert_eq!(judge(&[]), None);
    }
}
