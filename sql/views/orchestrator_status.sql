create view tasker.orchestrator_status as
select
  current_database() as database,
  e.preloaded,
  e.enabled,
  e.identity,
  o.worker,
  nullif(o.pid, 0) as pid,
  o.state,
  j.situation,
  a.advice,
  o.started_at,
  o.last_pass_at,
  o.passes,
  o.accepted,
  o.settled,
  o.late,
  o.rejected,
  o.fired,
  o.started,
  o.enqueued,
  o.finished,
  o.errors,
  o.last_error,
  o.last_error_at
from (
  select
    tasker._preloaded() as preloaded,
    tasker._setting('enabled')::boolean as enabled,
    string_to_array(nullif(replace(tasker._setting('databases'), ' ', ''), ''), ',') as databases,
    case tasker._identity_is_ours() when true then 'ours' when false then 'copy' else 'none yet' end as identity,
    make_interval(secs => 10 + tasker._setting('cycle_interval')::double precision / 100) as patience
) e
left join (
  select s.*
  from tasker._orchestrator_slots() s
  join pg_database d on d.oid = s.database
  where d.datname = current_database()
) o on true
cross join lateral (
  select case
    when not e.preloaded then 'not preloaded'
    when pg_is_in_recovery() then 'standby'
    when not e.enabled then 'switched off'
    when current_database() <> all(e.databases) then 'not served'
    when e.identity = 'copy' then 'copy'
    when e.identity = 'none yet' then 'nothing registered'
    when coalesce(o.pid, 0) = 0 then 'not running'
    when o.last_error_at > coalesce(o.last_pass_at, '-infinity') then 'failing'
    when o.last_pass_at < clock_timestamp() - e.patience then 'silent'
    else 'running'
  end as situation
) j
left join (values
  ('not preloaded', 'No background worker can run. Call tasker.orchestrate() by hand or by pg_cron, or add tasker_pg to shared_preload_libraries and restart the server.'),
  ('standby', 'The orchestrator starts after promotion.'),
  ('switched off', 'tasker.enabled is off. Set it to on and reload, or call tasker.orchestrate() by hand.'),
  ('not served', 'tasker.databases names others only. Add this one, or leave it empty for all, and reload.'),
  ('copy', 'The engine belongs to another database. When that runs no more, or this one is to work on its own, call tasker.take_over().'),
  ('nothing registered', 'Register a template with tasker.register_template().'),
  ('not running', 'It starts within a minute; if it does not, the server log says why.'),
  ('failing', 'Its last pass failed; last_error says why. It tries again by itself, a little later each time.'),
  ('silent', 'Its last pass is long ago; pg_stat_activity shows what it is doing.')
) a(situation, advice) on a.situation = j.situation;
comment on view tasker.orchestrator_status is
  'The orchestrators of this database, one row each; one row without worker and pid when none runs. situation says how it stands, advice what to do about it.';
comment on column tasker.orchestrator_status.database is 'This database.';
comment on column tasker.orchestrator_status.preloaded is 'Whether tasker_pg is in shared_preload_libraries: only then background workers run.';
comment on column tasker.orchestrator_status.enabled is 'The setting tasker.enabled.';
comment on column tasker.orchestrator_status.identity is 'ours: the engine belongs to this database; copy: it belongs to another, so that nothing runs here until take_over(); none yet.';
comment on column tasker.orchestrator_status.worker is 'Number of the orchestrator, from 0.';
comment on column tasker.orchestrator_status.pid is 'Process id of the orchestrator.';
comment on column tasker.orchestrator_status.state is 'What it is doing.';
comment on column tasker.orchestrator_status.situation is 'running when all is well; else not preloaded, standby, switched off, not served, copy, nothing registered, not running, failing or silent.';
comment on column tasker.orchestrator_status.advice is 'What to do about it; NULL when it is running.';
comment on column tasker.orchestrator_status.started_at is 'When the process started.';
comment on column tasker.orchestrator_status.last_pass_at is 'When its last pass ended.';
comment on column tasker.orchestrator_status.passes is 'Passes since it started.';
comment on column tasker.orchestrator_status.accepted is 'Task requests taken from the queue since it started.';
comment on column tasker.orchestrator_status.settled is 'Results settled.';
comment on column tasker.orchestrator_status.late is 'Results that came too late or twice.';
comment on column tasker.orchestrator_status.rejected is 'Messages put into rejected_messages.';
comment on column tasker.orchestrator_status.fired is 'Timers fired.';
comment on column tasker.orchestrator_status.started is 'Tasks started.';
comment on column tasker.orchestrator_status.enqueued is 'Steps enqueued.';
comment on column tasker.orchestrator_status.finished is 'Tasks finished.';
comment on column tasker.orchestrator_status.errors is 'Passes that failed.';
comment on column tasker.orchestrator_status.last_error is 'Message of the last failure.';
comment on column tasker.orchestrator_status.last_error_at is 'When that was.';
