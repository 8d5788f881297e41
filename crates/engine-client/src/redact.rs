//! An engine's complaint, made fit to be shown.

/// The longest complaint shown, in characters.
const SHOWN_MAX: usize = 200;
/// A stretch of the prompt this long, in characters, counts as an echo.
const ECHO: usize = 16;
/// Digit runs from this length are masked: shorter than any card number, longer than a token count.
const DIGITS: usize = 8;

/// Cuts an engine's message, masks long digit runs, and drops it whole when it repeats the prompt:
/// some engines quote the refused body.
pub(crate) fn presentable(message: &str, prompt: &str) -> String {
    let line: Vec<char> =
        message.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let echoes = |window: &[char]| prompt.contains(&window.iter().collect::<String>());
    if line.windows(ECHO).any(echoes) {
        return "(its message repeats the prompt and is not shown)".into();
    }
    mask(line)
}

/// Replaces the digits of runs that are [`DIGITS`] or longer, single spaces and dashes inside a
/// run not counted, as cards are written.
fn mask(mut line: Vec<char>) -> String {
    let mut at = 0;
    while at < line.len() {
        let mut end = at;
        let mut digits = 0;
        while let Some(c) = line.get(end) {
            let joins = (*c == ' ' || *c == '-')
                && digits > 0
                && line.get(end + 1).is_some_and(char::is_ascii_digit);
            if c.is_ascii_digit() {
                digits += 1;
            } else if !joins {
                break;
            }
            end += 1;
        }
        if digits >= DIGITS {
            line[at..end].iter_mut().filter(|c| c.is_ascii_digit()).for_each(|c| *c = '*');
        }
        at = end.max(at + 1);
    }
    line.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_counts_stay_and_card_numbers_go() {
        let shown = presentable("limit 4096 tokens, 512300 asked; card 4111 1111-11111111", "");
        assert_eq!(shown, "limit 4096 tokens, 512300 asked; card **** ****-********");
    }

    #[test]
    fn a_message_that_quotes_the_prompt_is_not_shown() {
        let prompt = "Memo: rent for June, please hurry";
        let shown = presentable("invalid input 'Memo: rent for June, pl…'", prompt);
        assert!(!shown.contains("June"));
    }

    #[test]
    fn a_long_message_is_cut_and_put_on_one_line() {
        let shown = presentable(&"ab\n".repeat(500), "");
        assert_eq!(shown.chars().count(), SHOWN_MAX);
        assert!(!shown.contains('\n'));
    }
}
