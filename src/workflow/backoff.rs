//! How long a failed step waits before its next attempt.
//!
//! A server's word comes first (`server`): capped, and not jittered, for it knows when it will be ready. Without one
//! the template's policy decides: growth with the attempt, a cap, and some jitter so that steps that failed together
//! do not come back together.

mod server;

use chrono::{DateTime, Utc};

/// Milliseconds that every retry waits at least, whatever policy or server say: no failure is retried in a hot loop.
pub const MIN_DELAY_MS: u64 = 1;

/// How the delay grows from attempt to attempt, as a multiple of the base. `attempt` is the one that failed, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// 1, 1, 1, 1: no growth. Still a wait of one base.
    None,
    /// 1, 2, 3, 4: `attempt`.
    Linear,
    /// 1, 2, 4, 8: `2^(attempt - 1)`.
    Exponential,
    /// 1, 1, 2, 3, 5: the Fibonacci number of `attempt`.
    Fibonacci,
}

/// What a template says about the delays of a step.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    pub backoff: Backoff,
    /// Milliseconds that the multiples are of.
    pub base_ms: u64,
    /// Milliseconds that no delay passes, with jitter.
    pub max_ms: u64,
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// Milliseconds from now, at least [`MIN_DELAY_MS`].
    pub delay_ms: u64,
    /// The same in seconds, rounded up, where a server asked for it.
    pub server_requested_seconds: Option<i32>,
}

/// The delay after the failure of `attempt` (from 1; 0 counts as 1).
///
/// `metadata` is the JSON text of the worker's `orchestration_metadata`; what it says is capped by
/// `max_server_delay_ms`, and garbage in it is as good as nothing. `jitter` in [0, 1) comes from the caller's dice.
pub fn retry_delay(
    attempt: u32,
    policy: &Policy,
    metadata: Option<&str>,
    max_server_delay_ms: u64,
    now: DateTime<Utc>,
    jitter: f64,
) -> Delay {
    let asked_ms = metadata.and_then(|metadata| server::requested_ms(metadata, now));
    match asked_ms.map(|asked_ms| asked_ms.min(max_server_delay_ms)) {
        Some(delay_ms) if delay_ms >= MIN_DELAY_MS => {
            let seconds = i32::try_from(delay_ms.div_ceil(1000)).unwrap_or(i32::MAX);
            Delay { delay_ms, server_requested_seconds: Some(seconds) }
        }
        _ => Delay { delay_ms: policy.jittered_ms(attempt, jitter), server_requested_seconds: None },
    }
}

impl Backoff {
    /// The policy that a template names so.
    pub fn named(name: &str) -> Option<Backoff> {
        match name {
            "none" => Some(Backoff::None),
            "linear" => Some(Backoff::Linear),
            "exponential" => Some(Backoff::Exponential),
            "fibonacci" => Some(Backoff::Fibonacci),
            _ => None,
        }
    }

    fn multiple(self, attempt: u32) -> u64 {
        match self {
            Backoff::None => 1,
            Backoff::Linear => attempt.into(),
            Backoff::Exponential => 1u64.checked_shl(attempt - 1).unwrap_or(u64::MAX),
            Backoff::Fibonacci => fibonacci(attempt),
        }
    }
}

impl Policy {
    /// Milliseconds before jitter.
    fn delay_ms(&self, attempt: u32) -> u64 {
        self.within(self.base_ms.saturating_mul(self.backoff.multiple(attempt.max(1))))
    }

    /// Up to 10 % less or more. The cap holds after it: delays at the cap become only shorter.
    fn jittered_ms(&self, attempt: u32, jitter: f64) -> u64 {
        let jitter = if (0.0..=1.0).contains(&jitter) { jitter } else { 0.5 };
        self.within((self.delay_ms(attempt) as f64 * (0.9 + 0.2 * jitter)).round() as u64)
    }

    fn within(&self, delay_ms: u64) -> u64 {
        delay_ms.min(self.max_ms).max(MIN_DELAY_MS)
    }
}

/// The 94th passes 64 bits: from there on it is the largest number that there is.
fn fibonacci(n: u32) -> u64 {
    let (mut last, mut next) = (0u64, 1u64);
    for _ in 0..n.min(94) {
        (last, next) = (next, last.saturating_add(next));
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::TestCaseResult;
    use serde_json::json;

    const DAY_MS: u64 = 86_400_000;
    const MIDDLE: f64 = 0.5;

    fn policy(backoff: Backoff) -> Policy {
        Policy { backoff, base_ms: 1_000, max_ms: 300_000 }
    }

    fn delays(backoff: Backoff) -> Vec<u64> {
        (1..=6).map(|attempt| policy(backoff).delay_ms(attempt)).collect()
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(784_111_777, 0).expect("a time")
    }

    fn delay_of(metadata: &str) -> Delay {
        retry_delay(3, &policy(Backoff::Exponential), Some(metadata), DAY_MS, now(), MIDDLE)
    }

    #[test]
    fn each_policy_grows_in_its_own_way() {
        assert_eq!(delays(Backoff::None), [1_000, 1_000, 1_000, 1_000, 1_000, 1_000]);
        assert_eq!(delays(Backoff::Linear), [1_000, 2_000, 3_000, 4_000, 5_000, 6_000]);
        assert_eq!(delays(Backoff::Exponential), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]);
        assert_eq!(delays(Backoff::Fibonacci), [1_000, 1_000, 2_000, 3_000, 5_000, 8_000]);
    }

    #[test]
    fn fibonacci_numbers_saturate_where_64_bits_end() {
        assert_eq!(fibonacci(93), 12_200_160_415_121_876_738);
        assert_eq!(fibonacci(94), u64::MAX);
        assert_eq!(fibonacci(u32::MAX), u64::MAX);
    }

    #[test]
    fn policies_are_found_by_the_names_that_templates_use() {
        assert_eq!(Backoff::named("none"), Some(Backoff::None));
        assert_eq!(Backoff::named("fibonacci"), Some(Backoff::Fibonacci));
        assert_eq!(Backoff::named("Exponential"), None);
    }

    #[test]
    fn jitter_is_ten_percent_both_ways() {
        assert_eq!(policy(Backoff::None).jittered_ms(1, 0.0), 900);
        assert_eq!(policy(Backoff::None).jittered_ms(1, MIDDLE), 1_000);
        assert_eq!(policy(Backoff::None).jittered_ms(1, 0.999_999), 1_100);
        assert_eq!(policy(Backoff::None).jittered_ms(1, f64::NAN), 1_000);
        assert_eq!(policy(Backoff::None).jittered_ms(1, -7.0), 1_000);
    }

    #[test]
    fn even_a_policy_of_nothing_waits() {
        let nothing = Policy { backoff: Backoff::None, base_ms: 0, max_ms: 0 };
        assert_eq!(nothing.jittered_ms(1, 0.0), MIN_DELAY_MS);
    }

    #[test]
    fn a_servers_word_comes_before_the_policy_and_is_not_jittered() {
        let word = json!({"headers": {"retry-after": "60"}}).to_string();
        for jitter in [0.0, MIDDLE, 0.99] {
            let delay = retry_delay(1, &policy(Backoff::Linear), Some(&word), DAY_MS, now(), jitter);
            assert_eq!(delay, Delay { delay_ms: 60_000, server_requested_seconds: Some(60) });
        }
    }

    #[test]
    fn a_servers_word_is_capped_by_its_own_limit_alone() {
        let word = json!({"headers": {"retry-after": 1e300}}).to_string();
        assert_eq!(delay_of(&word), Delay { delay_ms: DAY_MS, server_requested_seconds: Some(86_400) });
    }

    #[test]
    fn parts_of_seconds_are_kept_in_the_delay_and_rounded_up_in_the_request() {
        let word = json!({"backoff_hint": {"seconds": 1.2}}).to_string();
        assert_eq!(delay_of(&word), Delay { delay_ms: 1_200, server_requested_seconds: Some(2) });
    }

    #[test]
    fn a_limit_of_nothing_leaves_the_policy_alone() {
        let word = json!({"headers": {"retry-after": "60"}}).to_string();
        let delay = retry_delay(1, &policy(Backoff::None), Some(&word), 0, now(), MIDDLE);
        assert_eq!(delay, Delay { delay_ms: 1_000, server_requested_seconds: None });
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let backoff =
            prop::sample::select(vec![Backoff::None, Backoff::Linear, Backoff::Exponential, Backoff::Fibonacci]);
        let ms = || prop_oneof![any::<u64>(), 0..DAY_MS];
        (backoff, ms(), ms()).prop_map(|(backoff, base_ms, max_ms)| Policy { backoff, base_ms, max_ms })
    }

    fn any_attempt() -> impl Strategy<Value = u32> {
        prop_oneof![any::<u32>(), 0..100u32, Just(10_000), Just(u32::MAX)]
    }

    proptest! {
        #[test]
        fn no_delay_leaves_its_bounds(policy in any_policy(), attempt in any_attempt(), jitter in 0.0..1.0) {
            let delay_ms = policy.jittered_ms(attempt, jitter);
            prop_assert!(delay_ms >= MIN_DELAY_MS);
            prop_assert!(delay_ms <= policy.max_ms.max(MIN_DELAY_MS));
        }

        #[test]
        fn jitter_stays_within_ten_percent(policy in any_policy(), attempt in any_attempt(), jitter in 0.0..1.0) {
            let (plain, jittered) = (policy.delay_ms(attempt) as f64, policy.jittered_ms(attempt, jitter) as f64);
            prop_assert!(jittered >= plain * 0.9 - 1.0);
            prop_assert!(jittered <= plain * 1.1 + 1.0);
        }

        #[test]
        fn delays_never_shrink_from_attempt_to_attempt(policy in any_policy(), attempt in 0..u32::MAX) {
            prop_assert!(policy.delay_ms(attempt) <= policy.delay_ms(attempt + 1));
        }

        #[test]
        fn garbage_is_as_good_as_no_metadata(garbage in "\\PC*", attempt in any_attempt(), jitter in 0.0..1.0) {
            let wrapped = json!({"headers": {"Retry-After": format!("x{garbage}")}, "backoff_hint": garbage}).to_string();
            for metadata in [garbage.as_str(), wrapped.as_str()] {
                same_as_without(metadata, attempt, jitter)?;
            }
        }

        #[test]
        fn a_servers_word_is_kept_within_its_limit(seconds in 0.001..1e12, limit in 1..10 * DAY_MS) {
            let word = json!({"headers": {"RETRY-AFTER": seconds}}).to_string();
            let delay = retry_delay(1, &policy(Backoff::None), Some(&word), limit, now(), MIDDLE);
            prop_assert!(delay.delay_ms <= limit && delay.server_requested_seconds.is_some());
        }
    }

    fn same_as_without(metadata: &str, attempt: u32, jitter: f64) -> TestCaseResult {
        let policy = policy(Backoff::Fibonacci);
        let with = retry_delay(attempt, &policy, Some(metadata), DAY_MS, now(), jitter);
        prop_assert_eq!(with, retry_delay(attempt, &policy, None, DAY_MS, now(), jitter));
        Ok(())
    }
}
