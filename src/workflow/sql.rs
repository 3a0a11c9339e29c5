//! The functions that SQL calls: conversions, and nothing else.

use chrono::{DateTime, Utc};
use pgrx::prelude::*;
use pgrx::{JsonB, Uuid};
use serde_json::Value;

use super::backoff::{Backoff, Policy, retry_delay};
use super::{graph, message};
use crate::error::{Error, raise};

/// The delay after a failed attempt; see `backoff::retry_delay`. Negative times count as 0. `metadata` is JSON text,
/// and says nothing when it cannot be read.
#[pg_extern(immutable, parallel_safe)]
#[allow(clippy::too_many_arguments)] // what the formula depends on
fn _retry_delay(
    attempt: i32,
    backoff: &str,
    base_ms: i64,
    max_ms: i64,
    metadata: Option<&str>,
    max_server_delay_ms: i64,
    now: TimestampWithTimeZone,
    jitter: f64,
) -> TableIterator<'static, (name!(delay_ms, i64), name!(server_requested_seconds, Option<i32>))> {
    let policy = Policy {
        backoff: Backoff::named(backoff).unwrap_or(Backoff::Exponential),
        base_ms: u64::try_from(base_ms).unwrap_or(0),
        max_ms: u64::try_from(max_ms).unwrap_or(0),
    };
    let metadata: Option<Value> = metadata.and_then(|metadata| serde_json::from_str(metadata).ok());
    let delay = retry_delay(
        u32::try_from(attempt).unwrap_or(1),
        &policy,
        metadata.as_ref(),
        u64::try_from(max_server_delay_ms).unwrap_or(0),
        to_chrono(now),
        jitter,
    );
    TableIterator::once((
        i64::try_from(delay.delay_ms).unwrap_or(i64::MAX),
        delay.server_requested_seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX)),
    ))
}

/// Microseconds between the Unix epoch and Postgres's, 2000-01-01.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

fn to_chrono(time: TimestampWithTimeZone) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(i64::from(time).saturating_add(POSTGRES_EPOCH_US)).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Why a task request, as JSON text, cannot be used; NULL when it can be.
#[pg_extern(immutable, parallel_safe)]
fn _request_fault_of_text(message: Option<&str>) -> Option<String> {
    fault_of_text(message, message::request_fault)
}

/// Why a step result, as JSON text, cannot be used; NULL when it can be.
#[pg_extern(immutable, parallel_safe)]
fn _result_fault_of_text(message: Option<&str>) -> Option<String> {
    fault_of_text(message, message::result_fault)
}

/// Text and not `JsonB`: jsonb holds numbers and depths that serde_json does not, and those are a fault of the message
/// and not an internal error.
fn fault_of_text(message: Option<&str>, fault: fn(&Value) -> Option<String>) -> Option<String> {
    match serde_json::from_str(message.unwrap_or("null")) {
        Ok(message) => fault(&message),
        Err(error) => Some(format!("the message cannot be read: {error}")),
    }
}

/// Text of a graph, as mermaid or dot; 22023 for another format.
#[pg_extern(immutable, parallel_safe)]
fn _graph(graph: JsonB, format: &str) -> String {
    let graph = serde_json::from_value(graph.0).unwrap_or_else(|error| raise(Error::Graph(error.to_string())));
    graph::render(&graph, format).unwrap_or_else(|| raise(Error::GraphFormat(format.to_owned())))
}

/// A new uuid, version 7 (RFC 9562): ordered by time.
#[pg_extern(volatile, parallel_safe)]
fn _uuid7() -> Uuid {
    Uuid::from_bytes(*uuid::Uuid::now_v7().as_bytes())
}
