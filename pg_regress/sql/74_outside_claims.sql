-- Orchestrators outside claim tasks; nobody else enqueues their steps until the claim is over.
\getenv folder PG_ABS_SRCDIR
\set helpers :folder '/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

call pg_temp.register('{"namespace_name": "test_claims", "name": "chain", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
create function pg_temp.mine(name text)
returns table (reason text, steps text)
language sql
as $$
  select t.reason, pg_temp.steps(t.task_id)
  from tasker.claims c join tasker.tasks t using (task_id)
  where c.claimed_by = name
  order by t.task_id
$$;

-- In order of priority, tasks that have not started included; none twice.
select count(tasker.request_task('test_claims', 'chain', priority => p, reason => 'priority ' || p)) from generate_series(0, 4) p;
select namespace, name, priority, computed_priority, ready_steps, claim_timeout_seconds from tasker.claim_ready_tasks('one', 2, 'test_claims');
select priority from tasker.claim_ready_tasks('two', 2, 'test_claims');

-- The pass starts only what nobody has claimed.
select started, enqueued from pg_temp.pass();
select * from pg_temp.queue('test_claims');
select tasker.enqueue_ready_steps(c.task_id) from tasker.claims c where c.claimed_by = 'one' order by c.task_id;
select reason, step_name from pg_temp.queue('test_claims');
select * from tasker.check();

-- A step that becomes ready while its task is claimed waits for the claimant.
select count(*) from (select tasker.complete_step(step_id, attempt) from tasker.poll_steps('test_claims', 10)) c;
select settled, enqueued from pg_temp.pass();
select * from pg_temp.mine('one');
select claim_status, count(*) from tasker.ready_tasks where namespace = 'test_claims' group by 1 order by 1;
select recommended_action, ready_steps, finished from tasker.claims c, tasker.check_task_progress(c.task_id) where c.claimed_by = 'one';
select * from tasker.check();

-- Only who holds a claim can extend or release it. Released, the pass takes over.
select tasker.extend_task_claim(c.task_id, 'two') from tasker.claims c where c.claimed_by = 'one';
select tasker.release_task_claim(c.task_id, 'two') from tasker.claims c where c.claimed_by = 'one';
select tasker.release_task_claim(min(c.task_id), 'one') from tasker.claims c where c.claimed_by = 'one';
select enqueued from pg_temp.pass();

-- A claim that is not extended is over after its time.
call pg_temp.later('50 seconds');
select tasker.extend_task_claim(max(c.task_id), 'two') from tasker.claims c where c.claimed_by = 'two';
call pg_temp.later('11 seconds');
select started, enqueued from pg_temp.pass();
select * from pg_temp.mine('one');
select * from pg_temp.mine('two');
select tasker.extend_task_claim(t.task_id, 'one') from tasker.tasks t where t.reason = 'priority 4';
call pg_temp.later('60 seconds');
select started, enqueued from pg_temp.pass();
select count(*) from tasker.claims;

-- Nor does a claim that is over wait for a pass: who asks next gets its task, and the old timer leaves it alone.
call pg_temp.quiet();
select tasker.set_namespace_limit('test_claims', 1);
select tasker.request_task('test_claims', 'chain', claim_timeout_seconds => 10) as task \gset
select count(*) from tasker.claim_ready_tasks('one', 1, 'test_claims');
call pg_temp.later('9 seconds');
select count(*) from tasker.claim_ready_tasks('two', 1, 'test_claims');
select w.claim_status, (select count(*) from tasker.stale_claims) as stale, h.stale_claims
from tasker.ready_tasks w, tasker.get_system_health_counts() h where w.task_id = :task;
call pg_temp.later('1 second');
select w.claim_status, (select count(*) from tasker.stale_claims) as stale, h.stale_claims
from tasker.ready_tasks w, tasker.get_system_health_counts() h where w.task_id = :task;
select count(*) from tasker.claim_ready_tasks('two', 1, 'test_claims');
select tasker.extend_task_claim(:task, 'one') as one, tasker.extend_task_claim(:task, 'two') as two;
call pg_temp.passes();
select c.claimed_by from tasker.claims c where c.task_id = :task;
select w.claimed_by from tasker.waiting w where w.task_id = :task;
select * from tasker.check();

-- A task with many waiting steps in front hides nobody behind it.
call pg_temp.quiet();
call pg_temp.register('{"namespace_name": "test_claims", "name": "wide", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}, {"name": "e"}]}');
select tasker.set_namespace_limit('test_claims', 1);
select tasker.request_task('test_claims', 'wide', reason => 'wide') as wide \gset
call pg_temp.passes();
call pg_temp.later('1 second');
select count(tasker.request_task('test_claims', 'wide', reason => 'behind')) from generate_series(1, 3);
select reason, ready_steps from tasker.claim_ready_tasks('one', 3, 'test_claims') c join tasker.tasks t using (task_id);
call pg_temp.quiet();
select tasker.set_namespace_limit('test_claims', null);

-- Work that was set aside, and whose task has been claimed meanwhile, goes to the claimant when its time is over.
select tasker.request_task('test_claims', 'wide', claim_timeout_seconds => 600) as wide \gset
select tasker.set_namespace_limit('test_claims', 1);
select tasker.enqueue_ready_steps(:wide);
update tasker.waiting set claimed_by = 'set aside', claim_expires_at = tasker.clock() + interval '1 minute', fault = 'trouble'
where step_id = pg_temp.step(:wide, 'e');
insert into tasker.timers (fire_at, kind, task_id) values (tasker.clock() + interval '1 minute', 'claim', :wide);
select ready_steps from tasker.claim_ready_tasks('one', 1, 'test_claims');
select tasker.set_namespace_limit('test_claims', null);
call pg_temp.later('1 minute');
select enqueued from pg_temp.pass();
select claimed_by, claim_expires_at > tasker.clock() as holds, fault, count(*) from tasker.waiting where task_id = :wide group by 1, 2, 3;
select * from tasker.check();
-- A claim ends with its task.
select count(*) from tasker.claims;
select tasker.cancel_task(:wide);
select count(*) from tasker.claims;
select tasker.request_task('test_claims', 'chain') as task \gset
select count(*) from tasker.claim_ready_tasks('one', 1, 'test_claims');
select tasker.enqueue_ready_steps(:task);
call pg_temp.reply(:task, 'a', 'failure', '{"error": {"message": "no", "retryable": false}}');
call pg_temp.passes();
select pg_temp.task(:task) as task, (select count(*) from tasker.claims) as claims;
insert into tasker.claims values (:task, 'one', tasker.clock(), tasker.clock());
select subject, expected, found from tasker.check();
delete from tasker.claims;

\set VERBOSITY sqlstate
select tasker.claim_ready_tasks('');
select tasker.claim_ready_tasks('one', 1, 'nowhere');
select tasker.claim_ready_tasks('one', null);
select tasker.enqueue_ready_steps(99999999999);
\set VERBOSITY default
select * from tasker.check();

-- A task of which many steps wait is one task: it hides none of those behind.
call pg_temp.register('{"namespace_name": "test_claims_wide", "name": "wide", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}');
select tasker.set_namespace_limit('test_claims_wide', 1);
select count(tasker.request_task('test_claims_wide', 'wide')) from generate_series(1, 2);
select started, enqueued from pg_temp.pass();
select ready_steps from tasker.claim_ready_tasks('one', 2, 'test_claims_wide');
select tasker.purge_namespace('test_claims_wide');
