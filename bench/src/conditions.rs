//! Under which conditions a section was measured.

use crate::Result;
use crate::options::Options;
use crate::proc;
use crate::report::Section;
use crate::server::Database;

/// Settings that decide what a commit and a page cost.
const SETTINGS: &str = "'fsync', 'synchronous_commit', 'full_page_writes', 'wal_level', 'autovacuum'";

pub fn record(section: &mut Section, options: &Options) -> Result<()> {
    let mut maintenance = Database::maintenance()?;
    let mut ask = |statement: &str| maintenance.value::<String>(statement);
    section.condition("date", ask("select to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"')")?);
    section.condition("commit", std::env::var("BENCH_COMMIT").unwrap_or_else(|_| "unknown".to_string()));
    section.condition("CPU", format!("{}, {} cores", proc::cpu_model(), cores()));
    section.condition("memory", format!("{:.0} GiB", proc::memory_gib()));
    section.condition("load before", proc::load());
    section.condition("PostgreSQL", ask("show server_version")?);
    section.condition("pgmq", ask("select default_version from pg_available_extensions where name = 'pgmq'")?);
    section.condition("settings", ask(&settings())?);
    section.condition("rounds", options.rounds);
    section.condition("workers", options.workers);
    section.condition("raw pgmq's collectors", options.collectors);
    if options.quick {
        section.condition("quick", "yes: these figures mean nothing");
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Those above, and what the cluster was started with.
fn settings() -> String {
    format!(
        "select string_agg(name || '=' || current_setting(name), ', ' order by name) from pg_settings
         where name in ({SETTINGS}) or name like 'tasker.%' and source <> 'default'
           or sourcefile like '%cluster.conf' and name !~ 'socket|^port|listen|log_|imezone|TimeZone|preload'"
    )
}
