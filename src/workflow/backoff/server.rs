//! When a server wants to be asked again, from what the worker passed on of its answer.
//!
//! In this order: the `Retry-After` header (RFC 9110, section 10.2.3: seconds or an HTTP date), then the worker's
//! `backoff_hint`. What cannot be understood, and what lies in the past or now, is no word at all.

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

/// The fields of `orchestration_metadata` that matter here.
#[derive(Deserialize)]
struct Metadata {
    /// HTTP headers, their names in any letter case: `{"retry-after": "60"}`, seconds as string or number, or a date.
    #[serde(default)]
    headers: Value,
    /// `{"type": "server_requested", "seconds": 60}` or `{"backoff_type": "server_requested", "delay_seconds": 60}`.
    /// The type is for people.
    #[serde(default)]
    backoff_hint: Value,
}

/// Milliseconds that the server asked for, above zero and rounded up. `metadata` is JSON text.
pub fn requested_ms(metadata: &str, now: DateTime<Utc>) -> Option<u64> {
    // An array would be read as the fields in their order.
    if !metadata.trim_start().starts_with('{') {
        return None;
    }
    let metadata: Metadata = serde_json::from_str(metadata).ok()?;
    let seconds = retry_after(&metadata.headers, now).or_else(|| hint(&metadata.backoff_hint))?;
    Some((seconds * 1000.0).ceil() as u64)
}

fn retry_after(headers: &Value, now: DateTime<Utc>) -> Option<f64> {
    let named = headers.as_object()?.iter().filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    named.map(|(_, value)| value).find_map(|value| seconds(value).or_else(|| seconds_until(value.as_str()?, now)))
}

fn hint(hint: &Value) -> Option<f64> {
    ["seconds", "delay_seconds"].into_iter().find_map(|name| seconds(hint.get(name)?))
}

/// A number above zero, or a string of digits that says one.
fn seconds(value: &Value) -> Option<f64> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => decimal(text.trim())?,
        _ => return None,
    };
    (seconds.is_finite() && seconds > 0.0).then_some(seconds)
}

/// Digits with at most one point: the words, signs and exponents that `f64` reads too are not what servers say.
fn decimal(text: &str) -> Option<f64> {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| text.parse().ok())?
}

fn seconds_until(date: &str, now: DateTime<Utc>) -> Option<f64> {
    let until = http_date(date.trim(), now)? - now;
    let seconds = until.num_milliseconds() as f64 / 1000.0;
    (seconds > 0.0).then_some(seconds)
}

/// The three formats of RFC 9110, section 5.6.7.
fn http_date(date: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let read = |format| NaiveDateTime::parse_from_str(date, format).ok();
    read("%a, %d %b %Y %H:%M:%S GMT")
        .or_else(|| read("%a %b %e %H:%M:%S %Y"))
        .or_else(|| rfc_850_date(date, now))
        .map(|date| date.and_utc())
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. Of the years that end so, the last that is not more than 50 years ahead is meant.
fn rfc_850_date(date: &str, now: DateTime<Utc>) -> Option<NaiveDateTime> {
    let (day, rest) = date.rsplit_once('-')?;
    let (year, time) = rest.split_once(' ')?;
    let two_digits: i32 = (year.len() == 2).then(|| year.parse().ok())??;
    let latest = now.year() + 50;
    let year = latest - (latest - two_digits).rem_euclid(100);
    NaiveDateTime::parse_from_str(&format!("{day}-{year:04} {time}"), "%A, %d-%b-%Y %H:%M:%S GMT").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of the RFC.
    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(784_111_777, 0).expect("a time")
    }

    fn asked(metadata: Value) -> Option<u64> {
        requested_ms(&metadata.to_string(), now())
    }

    fn retry_after(value: impl Into<Value>) -> Option<u64> {
        asked(json!({"headers": {"retry-after": value.into()}}))
    }

    #[test]
    fn seconds_are_understood_as_number_and_as_text() {
        assert_eq!(retry_after(60), Some(60_000));
        assert_eq!(retry_after("60"), Some(60_000));
        assert_eq!(retry_after(" 60 "), Some(60_000));
        assert_eq!(retry_after(0.25), Some(250));
        assert_eq!(retry_after("1.5"), Some(1_500));
        assert_eq!(retry_after("0.0001"), Some(1));
    }

    #[test]
    fn header_names_count_in_any_letter_case() {
        for name in ["Retry-After", "RETRY-AFTER", "retry-After"] {
            assert_eq!(asked(json!({"headers": {"x-other": 1, name: "7"}})), Some(7_000));
        }
    }

    #[test]
    fn dates_are_understood_in_the_three_formats_of_the_rfc() {
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60_000));
        assert_eq!(retry_after("Sunday, 06-Nov-94 08:50:37 GMT"), Some(60_000));
        assert_eq!(retry_after("Sun Nov  6 08:50:37 1994"), Some(60_000));
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_50_years_ahead() {
        let year = |date| http_date(date, now()).map(|date| date.year());
        assert_eq!(year("Sunday, 06-Nov-44 08:49:37 GMT"), Some(2044));
        assert_eq!(year("Monday, 06-Nov-45 08:49:37 GMT"), None, "in 1945 it was a Tuesday");
        assert_eq!(year("Tuesday, 06-Nov-45 08:49:37 GMT"), Some(1945));
        assert_eq!(year("Saturday, 06-Nov-99 08:49:37 GMT"), Some(1999));
    }

    #[test]
    fn what_is_not_ahead_is_no_word() {
        for past in ["0", "0.0", "-5", "Sun, 06 Nov 1994 08:49:37 GMT", "Sat, 05 Nov 1994 08:49:37 GMT"] {
            assert_eq!(retry_after(past), None, "{past}");
        }
        assert_eq!(retry_after(0), None);
        assert_eq!(retry_after(-1.5), None);
        assert_eq!(asked(json!({"backoff_hint": {"seconds": -3}})), None);
    }

    #[test]
    fn what_is_no_time_is_no_word() {
        for garbage in
            ["", ".", "1.2.3", "NaN", "inf", "1e3", "soon", "١٢", "Sun, 31 Feb 1994 08:49:37 GMT", "-", "a-b c"]
        {
            assert_eq!(retry_after(garbage), None, "{garbage}");
        }
        for garbage in [json!(null), json!(true), json!([60]), json!({"seconds": 60})] {
            assert_eq!(retry_after(garbage.clone()), None, "{garbage}");
            assert_eq!(asked(json!({"headers": garbage})), None);
            assert_eq!(asked(garbage), None);
        }
    }

    #[test]
    fn hints_are_understood_in_both_forms() {
        assert_eq!(asked(json!({"backoff_hint": {"type": "server_requested", "seconds": 60}})), Some(60_000));
        assert_eq!(asked(json!({"backoff_hint": {"backoff_type": "any", "delay_seconds": 2.5}})), Some(2_500));
        assert_eq!(asked(json!({"backoff_hint": {"seconds": "later", "delay_seconds": 9}})), Some(9_000));
        assert_eq!(asked(json!({"backoff_hint": 60})), None);
    }

    #[test]
    fn the_header_comes_before_the_hint_and_garbage_before_neither() {
        let both = |header| json!({"headers": {"retry-after": header}, "backoff_hint": {"seconds": 5}});
        assert_eq!(asked(both("60")), Some(60_000));
        assert_eq!(asked(both("soon")), Some(5_000));
        assert_eq!(asked(json!({"headers": "none", "backoff_hint": {"seconds": 5}})), Some(5_000));
    }

    #[test]
    fn what_serde_cannot_hold_does_not_hide_the_word() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let metadata = format!(r#"{{"custom": {deep}, "error_context": 1e999, "headers": {{"retry-after": 5}}}}"#);
        assert_eq!(requested_ms(&metadata, now()), Some(5_000));
        assert_eq!(requested_ms(&format!(r#"{{"headers": {deep}}}"#), now()), None);
    }

    #[test]
    fn an_array_is_no_metadata() {
        assert_eq!(requested_ms(r#"[{"retry-after": 5}, {"seconds": 5}]"#, now()), None);
    }
}
