//! What is measured: one file a group of sections.

pub mod backlog;
pub mod flat;
pub mod history;
pub mod idle;
pub mod latency;
pub mod producers;
pub mod raw_crews;
mod raw_latency;
pub mod steady;
pub mod throughput;
pub mod views;
pub mod wide;
