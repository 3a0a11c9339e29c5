//! Random numbers that a seed repeats, and random graphs.

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

    /// Steps that stand in any order: parents before or after their children. Delays are of a few milliseconds.
    pub fn steps(&mut self, size: u64, max_attempts: u64) -> Vec<Value> {
        let density = 1 + self.below(4);
        let mut steps: Vec<Value> = Vec::new();
        for step in 0..size {
            let parents: Vec<_> =
                (0..step).filter(|_| self.below(step) < density).map(|parent| format!("s{parent}")).collect();
            let backoff = ["none", "linear", "exponential", "fibonacci"][self.below(4) as usize];
            let retry =
                json!({"max_attempts": max_attempts, "backoff": backoff, "backoff_base_ms": 1 + self.below(20)});
            let place = self.below(step + 1) as usize;
            steps.insert(place, json!({"name": format!("s{step}"), "dependencies": parents, "retry": retry}));
        }
        steps
    }
}
