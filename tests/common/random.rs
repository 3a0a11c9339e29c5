//! Chance that repeats: the same seed gives the same numbers on every machine.

use serde_json::{Value, json};

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of them. There must be one.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// The steps of a template, in any order: parents before or after their children. Every step gets `extra`'s fields.
pub fn random_steps(random: &mut Random, size: u64, max_attempts: u64, extra: &Value) -> Vec<Value> {
    let density = 1 + random.below(4);
    let mut steps: Vec<Value> = Vec::new();
    for step in 0..size {
        let parents: Vec<_> =
            (0..step).filter(|_| random.below(step) < density).map(|parent| format!("s{parent}")).collect();
        let backoff = ["none", "linear", "exponential", "fibonacci"][random.below(4) as usize];
        let retry = json!({"max_attempts": max_attempts, "backoff": backoff, "backoff_base_ms": 1 + random.below(20)});
        let place = random.below(step + 1) as usize;
        let mut new = json!({"name": format!("s{step}"), "dependencies": parents, "retry": retry});
        for (field, value) in extra.as_object().into_iter().flatten() {
            new[field] = value.clone();
        }
        steps.insert(place, new);
    }
    steps
}
