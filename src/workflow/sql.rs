//! The functions that SQL calls: conversions, and nothing else.
//!
//! JSON that others wrote comes as text: pgrx turns jsonb that serde_json cannot hold (numbers beyond a double, nesting
//! beyond 128 levels) into an internal error, which a pass takes for the system's and tries again for ever.

use chrono::{DateTime, Utc};
use pgrx::prelude::*;

use super::backoff::{Backoff, Policy, retry_delay};
use super::graph::{Format, Graph};
use super::message;
use crate::error::{Error, raise};
use crate::process::encoding::{Jsonb, Text};

/// The delay after a failed attempt; see `backoff::retry_delay`. Negative times count as 0, an unknown policy as
/// exponential (a CHECK of the table knows them all). `metadata` is JSON text.
#[pg_extern(immutable, parallel_safe)]
#[allow(clippy::too_many_arguments)] // what the formula depends on
fn _retry_delay(
    attempt: i32,
    backoff: &str,
    base_ms: i64,
    max_ms: i64,
    metadata: Option<Text>,
    max_server_delay_ms: i64,
    now: TimestampWithTimeZone,
    jitter: f64,
) -> TableIterator<'static, (name!(delay_ms, i64), name!(server_requested_seconds, Option<i32>))> {
    let not_negative = |ms: i64| u64::try_from(ms).unwrap_or(0);
    let policy = Policy {
        backoff: Backoff::named(backoff).unwrap_or(Backoff::Exponential),
        base_ms: not_negative(base_ms),
        max_ms: not_negative(max_ms),
    };
    let attempt = u32::try_from(attempt).unwrap_or(1);
    let delay = retry_delay(
        attempt,
        &policy,
        metadata.as_ref().map(|text| text.0.as_str()),
        not_negative(max_server_delay_ms),
        to_chrono(now),
        jitter,
    );
    TableIterator::once((i64::try_from(delay.delay_ms).unwrap_or(i64::MAX), delay.server_requested_seconds))
}

/// Microseconds between the Unix epoch and Postgres's, 2000-01-01.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

fn to_chrono(time: TimestampWithTimeZone) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(i64::from(time).saturating_add(POSTGRES_EPOCH_US)).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Why a task request, as JSON text, cannot be used; NULL when it can be.
#[pg_extern(immutable, parallel_safe)]
fn _request_fault_of_text(message: Option<Text>) -> Option<Text> {
    message::request_fault(message.as_ref().map_or("null", |text| &text.0)).map(Text)
}

/// Why a step result, as JSON text, cannot be used; NULL when it can be.
#[pg_extern(immutable, parallel_safe)]
fn _result_fault_of_text(message: Option<Text>) -> Option<Text> {
    message::result_fault(message.as_ref().map_or("null", |text| &text.0)).map(Text)
}

/// Text of a graph, as mermaid or dot; 22023 for another format.
#[pg_extern(immutable, parallel_safe)]
fn _graph(graph: Jsonb, format: Text) -> Text {
    let format = Format::named(&format.0).unwrap_or_else(|| raise(Error::GraphFormat(format.0)));
    let graph: Graph = serde_json::from_value(graph.0).unwrap_or_else(|error| raise(Error::Graph(error.to_string())));
    Text(graph.text(format))
}
