//! Finds which of a classifier's labels means fraud.

/// The index of the fraud label among `labels`.
///
/// With `wanted`, the label of that name, else that name in another case. Without it: the one
/// label that has `fraud` in its name and does not deny it (`not_fraud`, `non-fraud`); failing
/// that, `LABEL_1` of a two-label model, as exporters name what was never named. Anything else
/// is ambiguous.
pub(crate) fn fraud_label(labels: &[String], wanted: Option<&str>) -> Result<usize, String> {
    let listed = labels.join(", ");
    if let Some(wanted) = wanted {
        return labels
            .iter()
            .position(|label| label == wanted)
            .or_else(|| labels.iter().position(|label| label.eq_ignore_ascii_case(wanted)))
            .ok_or_else(|| format!("the fraud label `{wanted}` is not among id2label ({listed})"));
    }
    let named: Vec<usize> =
        (0..labels.len()).filter(|&index| means_fraud(&labels[index])).collect();
    match named.as_slice() {
        [index] => Ok(*index),
        [] if labels.len() == 2 && labels[1].eq_ignore_ascii_case("label_1") => Ok(1),
        [] | [_, _, ..] => Err(format!(
            "cannot tell which label means fraud among id2label ({listed}); \
             name it as `fraud_label` in package.toml"
        )),
    }
}

fn means_fraud(label: &str) -> bool {
    let label = label.to_lowercase();
    let mut words = label.split(|c: char| !c.is_alphanumeric());
    label.contains("fraud")
        && !label.contains("nonfraud")
        && !words.any(|word| matches!(word, "not" | "non" | "no"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[&str], wanted: Option<&str>, expected: Option<usize>) {
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        assert_eq!(fraud_label(&labels, wanted).ok(), expected, "{labels:?} {wanted:?}");
    }

    #[test]
    fn the_fraud_label_is_found_or_refused_never_guessed() {
        check(&["LEGITIMATE", "FRAUD"], None, Some(1));
        check(&["fraudulent", "genuine"], None, Some(0));
        check(&["not_fraud", "fraud"], None, Some(1));
        check(&["Non-Fraud", "Fraud"], None, Some(1));
        check(&["LABEL_0", "LABEL_1"], None, Some(1));
        check(&["a", "fraud", "c"], None, Some(1));
        check(&["LABEL_0", "LABEL_1", "LABEL_2"], None, None);
        check(&["card_fraud", "transfer_fraud", "ok"], None, None);
        check(&["NEGATIVE", "POSITIVE"], None, None);
        check(&["NEGATIVE", "POSITIVE"], Some("POSITIVE"), Some(1));
        check(&["negative", "positive"], Some("POSITIVE"), Some(1));
        check(&["negative", "positive"], Some("fraud"), None);
    }
}
