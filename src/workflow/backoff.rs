//! How long a failed attempt waits for the next one.
//!
//! A server's word comes first: a `Retry-After` header (RFC 9110, section 10.2.3: seconds, or one of the three date
//! formats of section 5.6.7), then a `backoff_hint`. It is capped, and not jittered. Without one, or with one that says
//! nothing usable (garbage, zero, negative, past), the template's own policy decides, jittered within its cap. So every
//! failure gets a delay, and nothing loops hot.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

/// The shortest delay, in milliseconds.
pub const MIN_DELAY_MS: u64 = 1;

/// The jitter: a delay is spread over ±10 %.
const JITTER: f64 = 0.1;

/// How the delay grows with the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// `base`
    None,
    /// `base * attempt`
    Linear,
    /// `base * 2^(attempt - 1)`
    Exponential,
    /// `base * fibonacci(attempt)`: 1, 1, 2, 3, 5, …
    Fibonacci,
}

impl Backoff {
    /// The kind that a template calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "linear" => Some(Self::Linear),
            "exponential" => Some(Self::Exponential),
            "fibonacci" => Some(Self::Fibonacci),
            _ => None,
        }
    }

    /// The factor of the `attempt`-th try, counted from 1; saturates.
    fn factor(self, attempt: u32) -> u64 {
        match self {
            Self::None => 1,
            Self::Linear => u64::from(attempt.max(1)),
            Self::Exponential => 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX),
            Self::Fibonacci => fibonacci(attempt),
        }
    }
}

/// A template step's retry policy. Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub backoff: Backoff,
    pub base_ms: u64,
    pub max_ms: u64,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    pub delay_ms: u64,
    /// The server's word, rounded up to whole seconds and capped, where it decided.
    pub server_requested_seconds: Option<u64>,
}

/// The delay after the failure of `attempt` (counted from 1).
///
/// `metadata` is a result's `orchestration_metadata`. `jitter` is a random number in `[0, 1)`. Source of the formula:
/// docs/internals.md, "Retry delay".
pub fn retry_delay(
    attempt: u32,
    policy: &Policy,
    metadata: Option<&Value>,
    max_server_delay_ms: u64,
    now: DateTime<Utc>,
    jitter: f64,
) -> Delay {
    match metadata.and_then(|metadata| server_delay_ms(metadata, now)) {
        Some(asked) => {
            let delay_ms = asked.min(max_server_delay_ms).max(MIN_DELAY_MS);
            Delay { delay_ms, server_requested_seconds: Some(delay_ms.div_ceil(1000)) }
        }
        None => Delay { delay_ms: policy_delay_ms(attempt, policy, jitter), server_requested_seconds: None },
    }
}

fn policy_delay_ms(attempt: u32, policy: &Policy, jitter: f64) -> u64 {
    let capped = policy.base_ms.saturating_mul(policy.backoff.factor(attempt)).min(policy.max_ms);
    let spread = 1.0 - JITTER + 2.0 * JITTER * jitter.clamp(0.0, 1.0);
    // A float cast saturates.
    ((capped as f64 * spread).round() as u64).min(policy.max_ms).max(MIN_DELAY_MS)
}

fn fibonacci(n: u32) -> u64 {
    let (mut current, mut next) = (1_u64, 1_u64);
    for _ in 1..n.min(100) {
        (current, next) = (next, current.saturating_add(next));
    }
    current
}

/// The positive delay that a server asked for, in milliseconds.
fn server_delay_ms(metadata: &Value, now: DateTime<Utc>) -> Option<u64> {
    retry_after(metadata)
        .and_then(|value| header_delay_ms(value, now))
        .or_else(|| metadata.get("backoff_hint").and_then(hint_delay_ms))
}

fn retry_after(metadata: &Value) -> Option<&Value> {
    let headers = metadata.get("headers")?.as_object()?;
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after")).map(|(_, value)| value)
}

fn header_delay_ms(value: &Value, now: DateTime<Utc>) -> Option<u64> {
    match value {
        Value::String(text) => seconds_to_ms(text.trim().parse().ok()).or_else(|| date_delay_ms(text.trim(), now)),
        Value::Array(values) => values.first().and_then(|value| header_delay_ms(value, now)),
        value => seconds_to_ms(value.as_f64()),
    }
}

fn date_delay_ms(text: &str, now: DateTime<Utc>) -> Option<u64> {
    let ms = (http_date(text)? - now).num_milliseconds();
    u64::try_from(ms).ok().filter(|ms| *ms > 0)
}

/// A date in one of the formats of RFC 9110, section 5.6.7; the obsolete ones have no zone and mean GMT.
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|date| date.and_utc())
}

fn hint_delay_ms(hint: &Value) -> Option<u64> {
    ["seconds", "delay_seconds"].iter().find_map(|field| seconds_to_ms(hint.get(field)?.as_f64()))
}

fn seconds_to_ms(seconds: Option<f64>) -> Option<u64> {
    seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0).map(|seconds| (seconds * 1000.0).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use proptest::prelude::*;
    use serde_json::json;

    const DAY_MS: u64 = 86_400_000;
    const KINDS: [Backoff; 4] = [Backoff::None, Backoff::Linear, Backoff::Exponential, Backoff::Fibonacci];

    fn noon() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0).single().unwrap_or_default()
    }

    fn policy(backoff: Backoff) -> Policy {
        Policy { backoff, base_ms: 1000, max_ms: 300_000 }
    }

    fn delays(backoff: Backoff) -> Vec<u64> {
        (1..=6).map(|attempt| retry_delay(attempt, &policy(backoff), None, DAY_MS, noon(), 0.5).delay_ms).collect()
    }

    fn asked(metadata: &Value) -> Option<u64> {
        retry_delay(1, &policy(Backoff::Linear), Some(metadata), DAY_MS, noon(), 0.5).server_requested_seconds
    }

    #[test]
    fn each_kind_grows_as_its_name_says() {
        assert_eq!(delays(Backoff::None), [1000; 6]);
        assert_eq!(delays(Backoff::Linear), [1000, 2000, 3000, 4000, 5000, 6000]);
        assert_eq!(delays(Backoff::Exponential), [1000, 2000, 4000, 8000, 16000, 32000]);
        assert_eq!(delays(Backoff::Fibonacci), [1000, 1000, 2000, 3000, 5000, 8000]);
    }

    #[test]
    fn the_server_is_heard_as_seconds_in_any_letter_case() {
        for name in ["retry-after", "Retry-After", "RETRY-AFTER"] {
            assert_eq!(asked(&json!({"headers": {name: "60"}})), Some(60));
            assert_eq!(asked(&json!({"headers": {name: 60}})), Some(60));
        }
        assert_eq!(asked(&json!({"headers": {"retry-after": "0.5"}})), Some(1));
    }

    #[test]
    fn the_server_is_heard_as_http_date() {
        for date in ["Mon, 23 Nov 2026 12:01:30 GMT", "Monday, 23-Nov-26 12:01:30 GMT", "Mon Nov 23 12:01:30 2026"] {
            assert_eq!(asked(&json!({"headers": {"retry-after": date}})), Some(90), "{date}");
        }
    }

    #[test]
    fn a_hint_is_heard_in_both_shapes_after_the_header() {
        assert_eq!(asked(&json!({"backoff_hint": {"type": "server_requested", "seconds": 7}})), Some(7));
        assert_eq!(asked(&json!({"backoff_hint": {"backoff_type": "server_requested", "delay_seconds": 8}})), Some(8));
        let both = json!({"headers": {"retry-after": "5"}, "backoff_hint": {"seconds": 7}});
        assert_eq!(asked(&both), Some(5));
        let garbage_header = json!({"headers": {"retry-after": "soon"}, "backoff_hint": {"seconds": 7}});
        assert_eq!(asked(&garbage_header), Some(7));
    }

    #[test]
    fn garbage_zero_negative_and_past_are_not_heard() {
        for value in [
            json!("soon"),
            json!(""),
            json!("-5"),
            json!(-5),
            json!(0),
            json!("0"),
            json!("NaN"),
            json!("inf"),
            json!(null),
            json!({}),
            json!([]),
            json!("Mon, 23 Nov 2026 11:59:59 GMT"),
            json!("Xyz, 99 Nov 2026 12:01:30 GMT"),
        ] {
            assert_eq!(asked(&json!({"headers": {"retry-after": value}})), None, "{value}");
            assert_eq!(asked(&json!({"backoff_hint": {"seconds": value}})), None, "{value}");
        }
    }

    #[test]
    fn the_servers_word_is_capped_and_not_jittered() {
        let metadata = json!({"headers": {"retry-after": "1e300"}});
        for jitter in [0.0, 0.5, 0.99] {
            let delay = retry_delay(1, &policy(Backoff::None), Some(&metadata), DAY_MS, noon(), jitter);
            assert_eq!(delay, Delay { delay_ms: DAY_MS, server_requested_seconds: Some(86400) });
        }
    }

    proptest! {
        #[test]
        fn a_policys_delay_is_never_past_its_cap(kind in 0..4_usize, attempt in 0..=u32::MAX, base in 0..=u64::MAX,
            max in 1..=u64::MAX / 4, jitter in 0.0..1.0)
        {
            let policy = Policy { backoff: KINDS[kind], base_ms: base, max_ms: max };
            let delay = retry_delay(attempt, &policy, None, DAY_MS, noon(), jitter).delay_ms;
            prop_assert!((MIN_DELAY_MS..=max.max(MIN_DELAY_MS)).contains(&delay));
        }

        #[test]
        fn a_policys_delay_never_shrinks_with_the_attempt(kind in 0..4_usize, attempt in 1..=10_000_u32, base in 0..100_000_u64) {
            let policy = Policy { backoff: KINDS[kind], base_ms: base, max_ms: 300_000 };
            let of = |attempt| retry_delay(attempt, &policy, None, DAY_MS, noon(), 0.5).delay_ms;
            prop_assert!(of(attempt) <= of(attempt + 1));
        }

        #[test]
        fn jitter_stays_within_ten_percent(base in 10..100_000_u64, jitter in 0.0..1.0) {
            let policy = Policy { backoff: Backoff::None, base_ms: base, max_ms: u64::MAX };
            let delay = retry_delay(1, &policy, None, DAY_MS, noon(), jitter).delay_ms as f64;
            prop_assert!((delay - base as f64).abs() <= base as f64 * 0.1 + 1.0);
        }

        #[test]
        fn any_header_text_gives_a_delay(text in ".*") {
            let metadata = json!({"headers": {"Retry-After": text}});
            let delay = retry_delay(3, &policy(Backoff::Exponential), Some(&metadata), DAY_MS, noon(), 0.5);
            prop_assert!((MIN_DELAY_MS..=DAY_MS).contains(&delay.delay_ms));
        }
    }
}
