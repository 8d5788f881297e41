//! Where the verdict stands in what has been written so far, and how probable each choice was.

use crate::form::Form;

/// Below this the listed probabilities, which engines hold as `f32`, do not add up precisely
/// enough to tell what is left from rounding: the natural logarithm of `f32::EPSILON`.
const FLOOR: f64 = -15.942_385;

/// A token as written, and what the engine lists beside it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) bytes: Vec<u8>,
    /// Natural logarithm.
    pub(crate) log_prob: f64,
    /// The most probable tokens at this place, usually with the written one among them.
    pub(crate) alternatives: Vec<(Vec<u8>, f64)>,
}

/// The verdict as the engine wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The word written.
    pub word: String,
    /// The log-probability of every choice, in the form's order; `None` when the engine gave none.
    pub log_probs: Option<LogProbs>,
}

/// How probable each choice was, by the tokens that tell the choices apart.
#[derive(Debug, Clone, PartialEq)]
pub struct LogProbs {
    /// Natural logarithms in the form's order, not normalised: take differences, or divide by
    /// their sum. A choice that the engine did not list has the most it can have had: no more than
    /// the least probable token listed, and no more than what the listed ones leave.
    pub by_choice: Vec<(String, f64)>,
    /// The probability, in 0..=1, that the listed tokens give to the choices together. Far below 1
    /// the model wanted to write something else (log-probabilities before the grammar's mask).
    pub covered: f64,
}

impl LogProbs {
    /// The probability of each choice among the choices: they sum to 1. The same whether the
    /// engine's log-probabilities are raw or masked.
    #[must_use]
    pub fn probabilities(&self) -> Vec<(String, f64)> {
        let total: f64 = self.by_choice.iter().map(|(_, log_prob)| log_prob.exp()).sum();
        let share = |(word, log_prob): &(String, f64)| (word.clone(), log_prob.exp() / total);
        self.by_choice.iter().map(share).collect()
    }
}

/// Whether a text states its verdict yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// It may still.
    Pending,
    /// The choice of this number, its closing quote included.
    Found(usize),
    /// It begins otherwise.
    Absent,
}

/// Looks for the prefix and a choice, whitespace between JSON's tokens allowed.
pub(crate) fn search(form: &Form, text: &[u8]) -> Search {
    let end = match prefix_end(form.prefix(), text) {
        Ok(Some(end)) => end,
        Ok(None) => return Search::Pending,
        Err(Differs) => return Search::Absent,
    };
    let written = &text[end..];
    let mut pending = false;
    for (index, word) in form.choices().iter().enumerate() {
        let closed = closed(word);
        if written.starts_with(&closed) {
            return Search::Found(index);
        }
        pending |= closed.starts_with(written);
    }
    if pending { Search::Pending } else { Search::Absent }
}

/// The log-probabilities of the choices; `None` when the tokens do not spell the prefix or list
/// no choice at all.
pub(crate) fn log_probs(form: &Form, tokens: &[Token]) -> Option<LogProbs> {
    let text: Vec<u8> = tokens.iter().flat_map(|token| &token.bytes).copied().collect();
    let end = prefix_end(form.prefix(), &text).ok()??;
    let mut start = 0;
    let at = tokens.iter().position(|token| {
        let holds = start + token.bytes.len() > end;
        if !holds {
            start += token.bytes.len();
        }
        holds
    })?;
    let (masses, bound) = masses(form, &tokens[at..], end - start);
    let covered: f64 = masses.iter().sum();
    if covered <= 0.0 {
        return None;
    }
    let log_prob = |mass: f64| if mass > 0.0 { mass.ln().max(FLOOR) } else { bound };
    let by_choice =
        form.choices().iter().zip(&masses).map(|(w, &mass)| (w.clone(), log_prob(mass))).collect();
    Some(LogProbs { by_choice, covered: covered.min(1.0) })
}

/// The probability of each choice, and the most that an unlisted one can have as a logarithm.
/// The first token holds the end of the prefix in its first `head` bytes.
fn masses(form: &Form, tokens: &[Token], head: usize) -> (Vec<f64>, f64) {
    let closed: Vec<Vec<u8>> = form.choices().iter().map(|word| closed(word)).collect();
    let mut masses = vec![0.0; closed.len()];
    let mut bound = FLOOR;
    let mut path = 0.0;
    let mut spelt: Vec<u8> = Vec::new();
    for (step, token) in tokens.iter().enumerate() {
        let head = if step == 0 { &token.bytes[..head] } else { &[] };
        let listed = listed(token);
        if step == 0 {
            bound = unlisted(&listed, head);
        }
        let mut shared = None;
        for (bytes, log_prob) in listed {
            let Some(tail) = bytes.strip_prefix(head).filter(|tail| !tail.is_empty()) else {
                continue;
            };
            let full = [spelt.as_slice(), tail].concat();
            let fits = |c: &&Vec<u8>| c.starts_with(&full) || full.starts_with(c);
            let fitting = closed.iter().filter(fits).count();
            if fitting > 1 && bytes == token.bytes.as_slice() {
                shared = Some((full, log_prob));
                continue;
            }
            // What several choices share, on a path that was not written, is split evenly.
            let mass = f64::exp(path + log_prob) / fitting.max(1) as f64;
            for (place, choice) in masses.iter_mut().zip(&closed) {
                if fits(&choice) {
                    *place += mass;
                }
            }
        }
        let Some((full, log_prob)) = shared else { break };
        spelt = full;
        path += log_prob;
    }
    (masses, bound)
}

/// The alternatives, with the written token among them once.
fn listed(token: &Token) -> Vec<(&[u8], f64)> {
    let mut listed: Vec<(&[u8], f64)> =
        token.alternatives.iter().map(|(bytes, log_prob)| (bytes.as_slice(), *log_prob)).collect();
    if !listed.iter().any(|(bytes, _)| *bytes == token.bytes.as_slice()) {
        listed.push((&token.bytes, token.log_prob));
    }
    listed
}

/// The most that a choice outside the list can have: no more than the least probable token listed
/// and than what the list leaves; or else what the tokens have that end with the prefix or within
/// it, after which any choice may follow.
fn unlisted(listed: &[(&[u8], f64)], head: &[u8]) -> f64 {
    let least = listed.iter().map(|(_, log_prob)| log_prob.exp()).fold(1.0, f64::min);
    let left = 1.0 - listed.iter().map(|(_, log_prob)| log_prob.exp()).sum::<f64>();
    let undecided = listed.iter().filter(|(bytes, _)| head.starts_with(bytes));
    let undecided: f64 = undecided.map(|(_, log_prob)| log_prob.exp()).sum();
    least.min(left).max(undecided).max(0.0).ln().max(FLOOR)
}

fn closed(word: &str) -> Vec<u8> {
    [word.as_bytes(), b"\""].concat()
}

/// The text does not begin with the prefix.
struct Differs;

/// Where the prefix ends in the text; `None` while the text is too short to say. Whitespace
/// outside of the prefix's strings is skipped, before and between.
fn prefix_end(prefix: &str, text: &[u8]) -> Result<Option<usize>, Differs> {
    let mut at = 0;
    let mut in_string = false;
    for expected in prefix.bytes() {
        while !in_string && text.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        match text.get(at) {
            None => return Ok(None),
            Some(&found) if found == expected => at += 1,
            Some(_) => return Err(Differs),
        }
        in_string ^= expected == b'"';
    }
    Ok(Some(at))
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
