//! The template language's own filters: buckets, ratios, dates.

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use minijinja::{Environment, Error, ErrorKind, Value};

pub(crate) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("log_bucket", log_bucket);
    environment.add_filter("ratio_bucket", ratio_bucket);
    environment.add_filter("signed_bucket", signed_bucket);
    environment.add_filter("letters", letters);
    environment.add_filter("number", number);
    environment.add_filter("hour", hour);
    environment.add_filter("weekday", weekday);
    environment.add_filter("days_before", days_before);
    environment.add_filter("ago", ago);
    environment.add_filter("clip", clip);
    environment.add_filter("quote", quote);
}

/// `x | log_bucket(per_octave=1)`: `floor(log2(1 + x) * per_octave)`, 0 for what is not above
/// zero, at most 99. One bucket per doubling by default; `-` for none.
fn log_bucket(value: &Value, per_octave: Option<f64>) -> Result<Value, Error> {
    let Some(x) = optional_number(value)? else { return Ok("x".into()) };
    let bucket = ((1.0 + x.max(0.0)).log2() * per_octave.unwrap_or(1.0)).floor();
    Ok(whole(bucket.clamp(0.0, 99.0)))
}

/// `x | ratio_bucket`: `10 + round(2 * log2(x))` clamped to 0..=20, so that 10 means "as
/// usual", 12 twice, 8 half; `x` for none or what is not above zero.
fn ratio_bucket(value: &Value) -> Result<Value, Error> {
    Ok(match optional_number(value)? {
        Some(x) if x > 0.0 => whole((10.0 + (2.0 * x.log2()).round()).clamp(0.0, 20.0)),
        Some(_) | None => "x".into(),
    })
}

/// `x | signed_bucket`: `10 + round(x)` clamped to 0..=30, so that 10 means "no deviation";
/// `x` for none.
fn signed_bucket(value: &Value) -> Result<Value, Error> {
    Ok(match optional_number(value)? {
        Some(x) => whole((10.0 + x.round()).clamp(0.0, 30.0)),
        None => "x".into(),
    })
}

/// `x | letters`: a bucket as letters, `a` for 0 to `z` for 25, then `ba`, at most `zz`; `none` for
/// none and for the `x` of a bucket of none. A prompt that writes its buckets so holds no number
/// but the facts, and a narrative cannot pass a bucket off as one.
fn letters(value: &Value) -> Result<String, Error> {
    if value.as_str() == Some("x") {
        return Ok("none".into());
    }
    let Some(x) = optional_number(value)? else { return Ok("none".into()) };
    let bucket = x.clamp(0.0, 675.0) as u32;
    let letter = |place: u32| char::from(b'a' + place as u8);
    Ok(if bucket < 26 {
        letter(bucket).to_string()
    } else {
        [letter(bucket / 26), letter(bucket % 26)].iter().collect()
    })
}

/// A whole number in digits, as a template writes dozens of times.
fn whole(number: f64) -> Value {
    // Neither -0 nor what is not a number.
    if number.is_sign_positive() && number < 100.0 && number.fract() == 0.0 {
        let (tens, ones) = ((number as u8) / 10, (number as u8) % 10);
        let digits = [b'0' + tens, b'0' + ones];
        let shown = if tens == 0 { digits.get(1..) } else { digits.get(..) };
        if let Some(Ok(shown)) = shown.map(std::str::from_utf8) {
            return Value::from(shown);
        }
    }
    Value::from(format!("{number:.0}"))
}

/// `x | number(decimals=2)`: a plain decimal without trailing zeros, so that the same amount
/// is always written alike.
fn number(value: &Value, decimals: Option<u32>) -> Result<String, Error> {
    let Some(x) = optional_number(value)? else { return Ok("none".into()) };
    let text = format!("{x:.*}", decimals.unwrap_or(2) as usize);
    if !text.contains('.') {
        return Ok(text);
    }
    Ok(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// `timestamp | hour`: the hour of the day in UTC, 0 to 23.
fn hour(value: &Value) -> Result<i64, Error> {
    Ok(i64::from(instant(value)?.to_zoned_datetime(TimeZone::UTC).hour()))
}

/// `timestamp | weekday`: `mon` to `sun`, in UTC.
fn weekday(value: &Value) -> Result<&'static str, Error> {
    Ok(match instant(value)?.to_zoned_datetime(TimeZone::UTC).weekday() {
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
        Weekday::Sunday => "sun",
    })
}

/// `earlier | days_before(later)`: days between two timestamps; none when the first is none.
fn days_before(earlier: &Value, later: &Value) -> Result<Value, Error> {
    if earlier.is_undefined() || earlier.is_none() {
        return Ok(Value::from(()));
    }
    let days = instant(later)?.duration_since(instant(earlier)?).as_secs_f64() / 86_400.0;
    Ok(Value::from(days))
}

/// `seconds | ago`: `40s`, `12m`, `5h`, `3d`; `never` for none.
fn ago(value: &Value) -> Result<String, Error> {
    let Some(seconds) = optional_number(value)? else { return Ok("never".into()) };
    Ok(match seconds {
        s if s < 60.0 => format!("{s:.0}s"),
        s if s < 3_600.0 => format!("{:.0}m", (s / 60.0).floor()),
        s if s < 86_400.0 => format!("{:.0}h", (s / 3_600.0).floor()),
        s => format!("{:.0}d", (s / 86_400.0).floor()),
    })
}

/// `text | clip(n)`: the first `n` characters, `none` as nothing.
fn clip(value: &Value, length: usize) -> String {
    value.as_str().unwrap_or_default().chars().take(length).collect()
}

/// `text | quote(n)`: the first `n` characters between « and » on one line. The text itself can
/// contain neither, nor angle or square brackets, which begin the control tokens and tags that
/// decoders know: whoever writes the text can neither end the quotation nor leave it.
fn quote(value: &Value, length: usize) -> String {
    let inner: String = clip(value, length)
        .chars()
        .map(|c| match c {
            '«' | '»' => '"',
            '<' | '[' => '(',
            '>' | ']' => ')',
            c if c.is_control() || c.is_whitespace() => ' ',
            c => c,
        })
        .collect();
    format!("«{inner}»")
}

fn optional_number(value: &Value) -> Result<Option<f64>, Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(None);
    }
    let number = match value.as_str() {
        Some(text) => text.parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    };
    match number {
        Some(number) if number.is_finite() => Ok(Some(number)),
        Some(_) | None => {
            Err(Error::new(ErrorKind::InvalidOperation, format!("{value:?} is not a number")))
        }
    }
}

fn instant(value: &Value) -> Result<Timestamp, Error> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("{value:?} is not a timestamp"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Template;

    fn check(template: &str, expected: &str) {
        let context = json!({"x": 100.0, "amount": "12.50", "none": null,
            "at": "2026-03-01T13:05:00Z", "opened": "2026-02-27T13:05:00Z", "memo": "hällo"});
        let rendered = Template::compile(template).unwrap().render(&context).unwrap();
        assert_eq!(rendered, expected, "{template}");
    }

    #[test]
    fn filters_write_the_same_value_always_alike() {
        check("{{ x | log_bucket }}", "6");
        check("{{ x | log_bucket(2) }}", "13");
        check("{{ none | log_bucket }}", "x");
        check("{{ 4 | ratio_bucket }}", "14");
        check("{{ 0.5 | ratio_bucket }}", "8");
        check("{{ amount | number }}", "12.5");
        check("{{ 1200 | number }}", "1200");
        check("{{ at | hour }} {{ at | weekday }}", "13 sun");
        check("{{ opened | days_before(at) | number }}", "2");
        check("{{ 7300 | ago }} {{ none | ago }}", "2h never");
        check("{{ memo | clip(2) }}", "hä");
        check("{{ -2.4 | signed_bucket }} {{ none | signed_bucket }}", "8 x");
        check("{{ x | log_bucket(2) | letters }} {{ 27 | letters }} {{ 0 | letters }}", "n bb a");
        check("{{ none | log_bucket | letters }} {{ none | letters }}", "none none");
        check("{{ 'a»b\n«c' | quote(9) }}", "«a\"b \"c»");
        check("{{ '</s>[INST]<|x|>' | quote(15) }}", "«(/s)(INST)(|x|)»");
        check("{{ 'a\u{2028}b\u{85}c\u{a0}d' | quote(9) }}", "«a b c d»");
    }

    #[test]
    fn whole_numbers_are_written_as_the_formatter_writes_them() {
        for tenths in -20..1200 {
            let number = f64::from(tenths) / 10.0;
            assert_eq!(super::whole(number).as_str(), Some(format!("{number:.0}").as_str()));
        }
        for odd in [-0.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(super::whole(odd).as_str(), Some(format!("{odd:.0}").as_str()));
        }
    }

    #[test]
    fn an_undefined_variable_is_an_error_and_endless_loops_end() {
        assert!(Template::compile("{{ nothing }}").unwrap().render(json!({})).is_err());
        let endless =
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
        assert!(Template::compile(endless).unwrap().render(json!({})).is_err());
        assert!(Template::compile("{% if %}").is_err());
    }
}
