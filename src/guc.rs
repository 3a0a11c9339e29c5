//! Settings: what they are called, mean and default to. One accessor each; nobody else touches a static.
//!
//! What a cluster's administrator decides for everyone is `sighup`; what a superuser may also change for one database
//! or session (a test, a bulk load) is `suset`. Nothing here can be set by an ordinary user.

use std::ffi::{CStr, CString};
use std::time::Duration;

use pgrx::prelude::*;

use crate::error::{Error, raise};
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

/// How many orchestrators one database can have.
pub const MAX_ORCHESTRATORS: i32 = 8;

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static DATABASES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static ORCHESTRATORS: GucSetting<i32> = GucSetting::<i32>::new(1);
static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(500);
static CYCLE_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(250);
static MAX_IN_FLIGHT: GucSetting<i32> = GucSetting::<i32>::new(1000);
static STEP_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(300);
static MAX_BACKOFF: GucSetting<i32> = GucSetting::<i32>::new(300);
static MAX_SERVER_DELAY: GucSetting<i32> = GucSetting::<i32>::new(86_400);
static MAX_MESSAGE_BYTES: GucSetting<i32> = GucSetting::<i32>::new(1024 * 1024);
static MAX_PAYLOAD_BYTES: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024 * 1024);
static SYNCHRONOUS_PASSES: GucSetting<bool> = GucSetting::<bool>::new(false);
static NOTIFY: GucSetting<bool> = GucSetting::<bool>::new(false);
static RETENTION: GucSetting<i32> = GucSetting::<i32>::new(-1);
static FAKE_NOW: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// The name that follows `tasker.`, and what reads the value in base units.
type Named = (&'static str, fn() -> String);

const BY_NAME: &[Named] = &[
    ("batch_size", || BATCH_SIZE.get().to_string()),
    ("cycle_interval", || CYCLE_INTERVAL.get().to_string()),
    ("databases", || text(&DATABASES)),
    ("enabled", || if enabled() { "on" } else { "off" }.to_string()),
    ("fake_now", fake_now),
    ("max_backoff", || MAX_BACKOFF.get().to_string()),
    ("max_in_flight", || MAX_IN_FLIGHT.get().to_string()),
    ("max_message_bytes", || MAX_MESSAGE_BYTES.get().to_string()),
    ("max_payload_bytes", || MAX_PAYLOAD_BYTES.get().to_string()),
    ("max_server_delay", || MAX_SERVER_DELAY.get().to_string()),
    ("notify", || if NOTIFY.get() { "on" } else { "off" }.to_string()),
    ("orchestrators", || ORCHESTRATORS.get().to_string()),
    ("retention", || retention().to_string()),
    ("step_timeout", || STEP_TIMEOUT.get().to_string()),
    ("synchronous_passes", || if synchronous_passes() { "on" } else { "off" }.to_string()),
];

/// Whether orchestrators run passes (`tasker.enabled`).
pub fn enabled() -> bool {
    ENABLED.get()
}

/// Whether `tasker.databases` lets the database of this name be served: it is empty, or names it.
pub fn serves_database(name: &str) -> bool {
    is_listed(&text(&DATABASES), name)
}

/// How many orchestrators each database has (`tasker.orchestrators`).
pub fn orchestrators() -> i32 {
    ORCHESTRATORS.get()
}

/// How many items a phase of a pass takes at most (`tasker.batch_size`).
pub fn batch_size() -> i32 {
    BATCH_SIZE.get()
}

/// Whether every pass waits until it is on the disk (`tasker.synchronous_passes`).
pub fn synchronous_passes() -> bool {
    SYNCHRONOUS_PASSES.get()
}

/// For how many seconds what is over is kept; below 0 for ever (`tasker.retention`).
pub fn retention() -> i32 {
    RETENTION.get()
}

/// How many seconds an attempt may take where its template does not say (`tasker.step_timeout`).
pub fn step_timeout() -> i32 {
    STEP_TIMEOUT.get()
}

/// How large a report may be (`tasker.max_payload_bytes`).
pub fn max_payload_bytes() -> i32 {
    MAX_PAYLOAD_BYTES.get()
}

/// How large the results in a step's message may be together (`tasker.max_message_bytes`).
pub fn max_message_bytes() -> usize {
    usize::try_from(MAX_MESSAGE_BYTES.get()).unwrap_or_default()
}

/// The longest time between two passes (`tasker.cycle_interval`).
pub fn cycle_interval() -> Duration {
    Duration::from_millis(CYCLE_INTERVAL.get().unsigned_abs().into())
}

/// What this session takes for the present time, or empty (`tasker.fake_now`).
pub fn fake_now() -> String {
    text(&FAKE_NOW)
}

/// Defines all settings. Works with and without preload, so no setting may need a server start.
pub fn init() {
    define_process_settings();
    define_engine_settings();
    define_upkeep_settings();
    crate::process::clock::define_fake_now(&FAKE_NOW);
    crate::process::reserve_setting_prefix(c"tasker");
}

fn define_process_settings() {
    GucRegistry::define_bool_guc(
        c"tasker.enabled",
        c"Lets the orchestrators work.",
        c"When off, the background workers stay but run no passes. tasker.orchestrate() still works when called by hand.",
        &ENABLED,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"tasker.databases",
        c"Lists the databases to serve, separated by commas.",
        c"When empty, every database that has the extension is served.",
        &DATABASES,
        GucContext::Sighup,
        GucFlags::default(),
    );
    int(
        c"tasker.orchestrators",
        c"Sets how many orchestrators each database has.",
        c"Each takes one of max_worker_processes.",
        (&ORCHESTRATORS, 1, MAX_ORCHESTRATORS),
        GucContext::Sighup,
        GucFlags::default(),
    );
    int(
        c"tasker.cycle_interval",
        c"Sets the longest time between two passes of an orchestrator.",
        c"Work that is committed wakes an orchestrator at once; this is the net for what could not.",
        (&CYCLE_INTERVAL, 10, 3_600_000),
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    int(
        c"tasker.batch_size",
        c"Sets how many items each phase of a pass takes at most.",
        c"A pass is one transaction: larger batches are cheaper per item, smaller ones commit sooner.",
        (&BATCH_SIZE, 1, 10_000),
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"tasker.synchronous_passes",
        c"Lets every pass wait until its commit is on the disk.",
        c"When off, one that only settles successes and enqueues steps does not: what a crash takes of it the next pass does again.",
        &SYNCHRONOUS_PASSES,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

fn define_engine_settings() {
    int(
        c"tasker.max_in_flight",
        c"Sets how many steps of a new namespace can be in flight.",
        c"Copied by create_namespace when it is given no limit. Priority decides only among what waits beyond it.",
        (&MAX_IN_FLIGHT, 1, 10_000_000),
        GucContext::Suset,
        GucFlags::default(),
    );
    int(
        c"tasker.step_timeout",
        c"Sets the lease of a step whose template has no timeout.",
        c"An attempt that has not reported by then is taken as lost.",
        (&STEP_TIMEOUT, 1, 2_000_000),
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    int(
        c"tasker.max_backoff",
        c"Sets the longest retry delay of a step whose template has no maximum.",
        c"A delay that a server asked for has a limit of its own, tasker.max_server_delay.",
        (&MAX_BACKOFF, 1, 2_000_000),
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    int(
        c"tasker.max_server_delay",
        c"Sets the longest retry delay that a server can ask for.",
        c"Applies to Retry-After and to backoff hints.",
        (&MAX_SERVER_DELAY, 1, 31_536_000),
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    int(
        c"tasker.max_message_bytes",
        c"Sets the size from which a step message leaves out the results of the step's parents.",
        c"The worker then reads them with tasker.dependency_results().",
        (&MAX_MESSAGE_BYTES, 1024, 256 * 1024 * 1024),
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    int(
        c"tasker.max_payload_bytes",
        c"Sets the size up to which a context or a reported result is taken.",
        c"As the server stores it, without compression. Larger ones are refused.",
        (&MAX_PAYLOAD_BYTES, 1024, 256 * 1024 * 1024),
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
}

fn define_upkeep_settings() {
    int(
        c"tasker.retention",
        c"Sets how long finished tasks are kept.",
        c"Older ones are deleted with their steps and history in idle time, but for those that a dead letter names. -1 keeps all.",
        (&RETENTION, -1, i32::MAX),
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_bool_guc(
        c"tasker.notify",
        c"Notifies those who LISTEN on {namespace}_events that events were published.",
        c"One notification a transaction and namespace. The events themselves are messages of the queue of that name.",
        &NOTIFY,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// Defines an integer setting from (static, minimum, maximum).
fn int(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    (setting, min, max): (&'static GucSetting<i32>, i32, i32),
    context: GucContext,
    flags: GucFlags,
) {
    GucRegistry::define_int_guc(name, short, long, setting, min, max, context, flags);
}

fn text(setting: &'static GucSetting<Option<CString>>) -> String {
    setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a comma-separated list is empty or holds `name`. Names can be double-quoted.
fn is_listed(list: &str, name: &str) -> bool {
    let mut names = list.split(',').map(|entry| entry.trim().trim_matches('"')).filter(|entry| !entry.is_empty());
    let Some(first) = names.next() else { return true };
    first == name || names.any(|entry| entry == name)
}

/// The value of `tasker.<name>` in base units (ms, s, bytes, count) as text.
///
/// Errors: `undefined_object` when there is no such setting.
#[pg_extern(stable, parallel_safe)]
fn _setting(name: &str) -> String {
    match BY_NAME.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => value(),
        None => no_such_setting(name),
    }
}

fn no_such_setting(name: &str) -> ! {
    let known: Vec<_> = BY_NAME.iter().map(|(known, _)| *known).collect();
    raise(Error::Setting { name: name.to_owned(), known: known.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::is_listed;

    #[test]
    fn an_empty_list_serves_every_database() {
        assert!(is_listed("", "shop") && is_listed(" , ", "shop"));
    }

    #[test]
    fn a_list_serves_only_what_it_names() {
        assert!(is_listed("a, shop ,b", "shop") && is_listed("\"my shop\"", "my shop"));
        assert!(!is_listed("shopping", "shop"));
    }
}
