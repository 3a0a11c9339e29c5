//! What is measured: one file a group of sections.

pub mod throughput;
