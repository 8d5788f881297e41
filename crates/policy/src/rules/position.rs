//! Where in the document a place inside a TOML string lies.

use std::ops::Range;

/// The document's bytes from which each character of a string was read, so that a place inside
/// an expression can be told as a line and a column of the document.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    value: &'a str,
    span: Range<usize>,
    /// For each byte of `value` that starts a character: the document's byte. Empty when the two
    /// could not be matched.
    starts: Vec<usize>,
}

impl<'a> Origin<'a> {
    /// `span` is where the string `value` stands in the document, its quotes included.
    pub(crate) fn new(document: &str, span: Range<usize>, value: &'a str) -> Self {
        let raw = document.get(span.clone()).unwrap_or_default();
        let starts = trace(raw, value)
            .map(|starts| starts.into_iter().map(|at| at + span.start).collect())
            .unwrap_or_default();
        Self { value, span, starts }
    }

    /// The document's bytes behind bytes of the value; the whole string when that is not known.
    pub(crate) fn span(&self, at: Range<usize>) -> Range<usize> {
        let find = |at: usize| {
            let index = self.value.char_indices().position(|(start, _)| start >= at);
            self.starts.get(index.unwrap_or(self.value.chars().count())).copied()
        };
        match (find(at.start), find(at.end)) {
            (Some(start), Some(end)) => start..end.max(start),
            _ => self.span.clone(),
        }
    }

    /// The byte of the value at a line and a column in characters, both from 1.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let before: usize =
            self.value.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = self.value.get(before..).unwrap_or_default();
        let within = rest.char_indices().nth(column.saturating_sub(1)).map(|(at, _)| at);
        before + within.unwrap_or(rest.len())
    }
}

/// The start of every character of `value` in the TOML string `raw`, and the end.
fn trace(raw: &str, value: &str) -> Option<Vec<usize>> {
    let (quote, escapes) = match raw.as_bytes() {
        [b'"', b'"', b'"', ..] => (3, true),
        [b'\'', b'\'', b'\'', ..] => (3, false),
        [b'"', ..] => (1, true),
        [b'\'', ..] => (1, false),
        _ => return None,
    };
    let end = raw.len().checked_sub(quote)?;
    let mut at = quote;
    if quote == 3 {
        // A line break right after the opening quotes is no part of the value.
        let body = raw.get(at..)?;
        at += if body.starts_with("\r\n") { 2 } else { usize::from(body.starts_with('\n')) };
    }
    let mut starts = Vec::with_capacity(value.len() + 1);
    for c in value.chars() {
        if escapes {
            at += folded(raw.get(at..end)?);
        }
        starts.push(at);
        at += written(raw.get(at..end)?, c, escapes)?;
    }
    starts.push(at);
    Some(starts)
}

/// The length of backslashes at the ends of lines, with the white space that they swallow.
fn folded(raw: &str) -> usize {
    let mut rest = raw;
    while let Some(after) = rest.strip_prefix('\\') {
        let end_of_line = after.trim_start_matches([' ', '\t']);
        if !end_of_line.starts_with(['\n', '\r']) {
            break;
        }
        rest = end_of_line.trim_start_matches([' ', '\t', '\n', '\r']);
    }
    raw.len() - rest.len()
}

/// How many bytes the character takes as it is written, or `None` when something else is there.
fn written(raw: &str, c: char, escapes: bool) -> Option<usize> {
    if c == '\n' && raw.starts_with("\r\n") {
        return Some(2);
    }
    if !escapes || !raw.starts_with('\\') {
        return raw.starts_with(c).then_some(c.len_utf8());
    }
    Some(match raw.as_bytes().get(1)? {
        b'x' => 4,
        b'u' => 6,
        b'U' => 10,
        _ => 2,
    })
}

#[cfg(test)]
mod tests {
    use toml::Spanned;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Holder {
        when: Spanned<String>,
    }

    /// The document's text behind the value's `needle`.
    fn behind(document: &str, needle: &str) -> String {
        let holder: Holder = toml::from_str(document).unwrap();
        let value = holder.when.get_ref();
        let at = value.find(needle).unwrap();
        let span = Origin::new(document, holder.when.span(), value).span(at..at + needle.len());
        document[span].to_owned()
    }

    #[test]
    fn a_place_in_a_value_is_found_in_every_kind_of_string() {
        for document in [
            "when = \"é \\\"q\\\" \\u00e9 x TARGET y\"",
            "when = 'é x TARGET y'",
            "when = '''\né\n x TARGET y'''",
            "when = \"\"\"\r\né \\\r\n   x \\\n\n  TARGET y\"\"\"",
            "when = \"\"\"a \\\\ \\t \"b\" TARGET\"\"\"",
        ] {
            assert_eq!(behind(document, "TARGET"), "TARGET", "{document}");
        }
        assert_eq!(behind("when = \"x \\u00e9 y\"", "é"), "\\u00e9");
    }

    #[test]
    fn lines_and_columns_of_a_value_become_its_bytes() {
        let value = "é && b\n  c";
        let origin = Origin::new("", 0..0, value);
        assert_eq!(origin.offset(1, 6), value.find('b').unwrap());
        assert_eq!(origin.offset(2, 3), value.find('c').unwrap());
        assert_eq!(origin.offset(9, 9), value.len());
    }

    #[test]
    fn what_cannot_be_matched_is_told_as_the_whole_string() {
        let origin = Origin::new("when = 'abc'", 7..12, "xyz");
        assert_eq!(origin.span(1..2), 7..12);
    }
}
