//! Plays a worker, in the plainest way: messages are popped, and every attempt succeeds.

use super::{Database, eventually};

/// Pops what is in the namespace's queue and reports success, in one transaction. Returns how many.
pub fn work_off(database: &mut Database, namespace: &str) -> i64 {
    try_work_off(database, namespace).unwrap_or_else(|error| panic!("cannot work: {error}"))
}

pub fn try_work_off(database: &mut Database, namespace: &str) -> Result<i64, postgres::Error> {
    let rows = database.try_rows(&format!(
        "with popped as materialized (
           select p.message from pgmq.pop('{namespace}_queue', 100) p
         ), result as (
           select jsonb_build_object('step_id', p.message -> 'step_id', 'attempt', p.message -> 'attempt',
             'status', 'success', 'result_data', jsonb_build_object('did', p.message -> 'step_name')) as result
           from popped p
         )
         select count(*) from (
           select pgmq.send('orchestration_step_results', r.result) from result r
         ) sent"
    ))?;
    Ok(rows[0].parse().unwrap_or_default())
}

/// Works until every task of the database is over.
pub fn work_until_over(database: &mut Database, namespace: &str) {
    let namespace = namespace.to_string();
    eventually("every task was over", || {
        work_off(database, &namespace);
        database.holds("select count(*) = 0 from tasker.tasks where finished_at is null")
    });
}
