//! Statements over lists of any length.

use super::Value;

/// The most values of one `IN` list.
const LIST_MAX: usize = 32;

/// `{begin} IN (…){end}` for each part of a list, with that part's values. The list's places are
/// numbered after the first `before` ones.
///
/// Each part is filled up with its last value to a power of two, so that the driver keeps the few
/// statements prepared.
pub(crate) fn lists<'v>(
    begin: &str,
    before: usize,
    list: &[Value<'v>],
    end: &str,
) -> Vec<(Vec<Value<'v>>, String)> {
    let fill = |part: &[Value<'v>]| {
        let length = part.len().next_power_of_two();
        let filler = part.last().copied();
        let values: Vec<_> =
            part.iter().copied().chain(filler.into_iter().cycle()).take(length).collect();
        let places: Vec<_> = (1..=length).map(|n| format!("${}", before + n)).collect();
        (values, format!("{begin} IN ({}){end}", places.join(", ")))
    };
    list.chunks(LIST_MAX).map(fill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_filled_up_to_a_power_of_two() {
        let list: Vec<Value<'_>> = (0..35_i64).map(Value::from).collect();
        let parts = lists("(SELECT a FROM t WHERE a", 2, &list, ")");
        let lengths: Vec<_> = parts.iter().map(|(values, _)| values.len()).collect();
        assert_eq!(lengths, [32, 4]);
        assert_eq!(parts[1].0[2..], [Value::from(34_i64); 2]);
        assert_eq!(parts[1].1, "(SELECT a FROM t WHERE a IN ($3, $4, $5, $6))");
        assert!(lists("…", 0, &[], "").is_empty());
    }
}
