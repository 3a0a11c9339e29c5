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

/// So many tasks and steps are complete, each step at its first attempt and once in the audit; nothing was rejected or
/// is left in a queue; `check()` finds nothing.
pub fn complete(database: &mut Database, tasks: u64, steps: u64) -> Result<()> {
    agree(&Counts::expected(tasks, steps), &Counts::found(database)?)?;
    sound(database)
}

/// Nothing was rejected, and `check()` finds nothing. May be asked while work goes on.
pub fn sound(database: &mut Database) -> Result<()> {
    let rejected: i64 = database.value("select count(*) from tasker.rejected_messages")?;
    if rejected > 0 {
        return Err(format!("{rejected} messages were rejected").into());
    }
    let faults = database.rows(
        "select format('%s %s: expected %s, found %s', c.subject, c.id, c.expected, c.found) from tasker.check() c limit 1",
    )?;
    match faults.first() {
        None => Ok(()),
        Some(fault) => Err(format!("check() finds: {}", fault.try_get::<_, String>(0)?).into()),
    }
}

/// What is counted, and its name and query.
struct Counts([u64; COUNTED.len()]);

const COUNTED: [(&str, &str); 7] = [
    ("tasks", "select count(*) from tasker.tasks"),
    ("complete tasks", "select count(*) from tasker.tasks where state = 'complete'"),
    ("complete steps", "select count(*) from tasker.steps where state = 'complete'"),
    ("attempts", "select coalesce(sum(attempts), 0)::bigint from tasker.steps"),
    ("completions in the audit", "select count(*) from tasker.step_transitions where to_state = 'complete'"),
    ("step messages that are left", "select count(*) from pgmq.q_bench_queue"),
    ("results that are left", "select count(*) from pgmq.q_orchestration_step_results"),
];

impl Counts {
    fn expected(tasks: u64, steps: u64) -> Counts {
        Counts([tasks, tasks, steps, steps, steps, 0, 0])
    }

    fn found(database: &mut Database) -> Result<Counts> {
        let mut counts = Counts([0; COUNTED.len()]);
        for (count, (_, query)) in counts.0.iter_mut().zip(COUNTED) {
            *count = database.value::<i64>(query)?.try_into()?;
        }
        Ok(counts)
    }
}

fn agree(expected: &Counts, found: &Counts) -> Result<()> {
    for (((what, _), expected), found) in COUNTED.iter().zip(expected.0).zip(found.0) {
        if expected != found {
            return Err(format!("{what}: expected {expected}, found {found}").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_or_too_few_of_anything_is_noticed() {
        let expected = Counts::expected(10, 40);
        assert!(agree(&expected, &Counts::expected(10, 40)).is_ok());
        for (place, (what, _)) in COUNTED.iter().enumerate() {
            for change in [1, u64::MAX] {
                let mut found = Counts::expected(10, 40);
                found.0[place] = found.0[place].wrapping_add(change);
                let error = agree(&expected, &found).expect_err(what).to_string();
                assert!(error.starts_with(what), "{error}");
            }
        }
    }
}
