//! Plays a worker, in the plainest way: messages are popped, and every attempt succeeds. And everybody at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Cluster, Database, SetAtEnd, eventually};

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

/// Does something while everybody is at work in namespace shop, which has the template `two`: orchestrators, workers that
/// advance, plain workers, readers of views. Nobody is stopped by a deadlock; what is gone by then cannot be called.
pub fn under_load(cluster: &Cluster, shop: &mut Database, what: impl FnOnce(&mut Database)) {
    let over = AtomicBool::new(false);
    thread::scope(|threads| {
        let _ends = SetAtEnd(&over);
        let in_a_loop = |statements: &'static [&'static str]| {
            let (name, over) = (shop.name.clone(), &over);
            threads.spawn(move || {
                let mut busy = cluster.connect(&name);
                while !over.load(Ordering::Relaxed) {
                    for statement in statements {
                        if let Err(error) = busy.try_rows(statement) {
                            busy.run("rollback");
                            let code = error.code().map(|code| code.code().to_string()).unwrap_or_default();
                            assert_ne!(code, "40P01", "{statement}: {error:?}");
                        }
                    }
                }
            });
        };
        in_a_loop(&["select count(tasker.request_task('shop', 'two')) from generate_series(1, 20)"]);
        for _ in 0..2 {
            in_a_loop(&[
                "begin",
                "select pgmq.send('orchestration_step_results', jsonb_build_object('step_id', m.message -> 'step_id',
                   'attempt', m.message -> 'attempt', 'status', 'success')) from pgmq.pop('shop_queue', 5) m",
                "select count(*) from tasker.steps",
                "commit",
            ]);
            in_a_loop(&["select * from tasker.exchange_steps('shop', (
                 select array_agg(jsonb_build_object('step_id', s.step_id, 'attempt', s.attempt, 'status', 'success'))
                 from tasker.poll_steps('shop', 5) s), 0)"]);
        }
        in_a_loop(&["select count(*) from tasker.task_status", "select count(*) from tasker.queue_status"]);
        shop.eventually("select count(*) > 20 from tasker.steps where state = 'complete'");
        what(shop);
    });
}
