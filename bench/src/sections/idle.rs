//! What a database with the extension costs while nothing happens.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::crew::Crew;
use crate::meter::Meter;
use crate::options::Options;
use crate::proc::Kind;
use crate::report::{Section, figure};
use crate::server::{self, Database};
use crate::templates::{Shape, request};
use crate::verify;
use crate::workers::{NAMESPACE, Way};

/// By then the background writer has noted the last transactions in the log: every 15 s, and it may sleep for another 10 s
/// (LOG_SNAPSHOT_INTERVAL_MS, HIBERNATE_FACTOR).
const UNTIL_QUIET: Duration = Duration::from_secs(30);

pub fn measure(options: &Options) -> Result<Section> {
    let mut database = Database::create("bench_idle", "tasker_pg")?;
    Shape::Chain(10).register(&mut database)?;
    let crew = Crew::start(&database, 10, Way::Plain.hands(1))?;
    request(&mut database, NAMESPACE, "chain", 1)?;
    crew.wait_for(10)?;
    verify::wait_until_over(&mut database)?;
    crew.stop()?;

    server::set(&[("autovacuum", "off")])?;
    let watched = watch(&mut database, options);
    server::reset_settings()?;
    let section = watched?;
    database.drop()?;
    Ok(section)
}

fn watch(database: &mut Database, options: &Options) -> Result<Section> {
    let mut meter = Meter::new(database)?;
    server::checkpoint()?;
    if !options.quick {
        thread::sleep(UNTIL_QUIET);
    }
    let next_xid = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    let (xid, begin, since) = (database.value::<i64>(next_xid)?, meter.read()?, Instant::now());
    thread::sleep(Duration::from_secs(options.idle_seconds));
    let (later, seconds) = (meter.read()?, since.elapsed().as_secs_f64());
    let xids = (database.value::<i64>(next_xid)? - xid) as f64;
    let used = begin.until(&later);
    let share = (used.of(Kind::Orchestrator) + used.of(Kind::Launcher)) / seconds * 100.0;

    let mut section = Section::new("idle", "Idle");
    let row = |what: &str, value: String| vec![what.to_string(), value];
    section.table(
        &format!("{} seconds of a database with the extension in which nothing happens", options.idle_seconds),
        &["what", "measured"],
        vec![
            row("transaction ids", figure(xids)),
            row("write-ahead log, bytes", figure(used.wal_bytes)),
            row("CPU of orchestrator and launcher, % of a core", figure(share)),
            row("CPU of the whole server, % of a core", figure(used.server_cpu / seconds * 100.0)),
        ],
    );
    section.at_most("transaction ids", 0.0, xids);
    section.at_most("write-ahead log, bytes", 0.0, used.wal_bytes);
    section.at_most("CPU of orchestrator and launcher, % of a core", 0.5, share);
    section.note("Autovacuum is off meanwhile: what it does is the server's own.");
    section.samples.push(json!({
        "seconds": seconds, "xids": xids, "wal_bytes": used.wal_bytes,
        "orchestrator_cpu_seconds": used.of(Kind::Orchestrator), "launcher_cpu_seconds": used.of(Kind::Launcher),
    }));
    Ok(section)
}
