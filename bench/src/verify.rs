//! After a run: is everything there, and nothing too much? A figure from a run that lost a step is no figure.

use std::time::Duration;

use crate::Result;
use crate::server::Database;

/// Waits until the engine has ended every task.
pub fn wait_until_over(database: &mut Database) -> Result<()> {
    database.wait_until(
        "every task was over",
        "select not exists (select from tasker.tasks where finished_at is null)",
        Duration::from_secs(120),
    )
}

/// So many tasks and steps are complete, each step at its first attempt; nothing was rejected or is left.
pub fn complete(database: &mut Database, tasks: u64, steps: u64) -> Result<()> {
    equal(database, "tasks", "select count(*) from tasker.tasks", tasks)?;
    equal(database, "complete tasks", "select count(*) from tasker.tasks where state = 'complete'", tasks)?;
    equal(database, "complete steps", "select count(*) from tasker.steps where state = 'complete'", steps)?;
    equal(database, "attempts", "select coalesce(sum(attempts), 0)::bigint from tasker.steps", steps)?;
    equal(
        database,
        "completions in the audit",
        "select count(*) from tasker.step_transitions where to_state = 'complete'",
        steps,
    )?;
    equal(database, "step messages that are left", "select count(*) from pgmq.q_bench_queue", 0)?;
    sound(database)?;
    equal(database, "results that are left", "select count(*) from pgmq.q_orchestration_step_results", 0)
}

/// Nothing was rejected, and `check()` finds nothing. May be asked while work goes on.
pub fn sound(database: &mut Database) -> Result<()> {
    equal(database, "rejected messages", "select count(*) from tasker.rejected_messages", 0)?;
    let faults = database.rows("select format('%s %s: expected %s, found %s', c.subject, c.id, c.expected, c.found) from tasker.check() c limit 5")?;
    match faults.first() {
        None => Ok(()),
        Some(fault) => Err(format!("check() finds: {}", fault.try_get::<_, String>(0)?).into()),
    }
}

fn equal(database: &mut Database, what: &str, count: &str, expected: u64) -> Result<()> {
    let found: i64 = database.value(count)?;
    if found as u64 == expected { Ok(()) } else { Err(format!("{what}: expected {expected}, found {found}").into()) }
}
