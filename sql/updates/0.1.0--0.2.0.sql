-- From 0.1.0 to 0.2.0, by hand: tables, and public functions that CREATE OR REPLACE cannot change (another type of result,
-- other names of parameters). `cargo test --test upgrade` says what is missing here.

alter table tasker.namespaces add column resumed_at timestamptz;

alter table tasker.task_templates
  add column max_waiting_for_dependencies interval,
  add column max_waiting_for_retry interval,
  add column max_steps_in_process interval,
  add column fails_when_stuck boolean not null default false,
  add column namespace text;
update tasker.task_templates tt set namespace = n.name from tasker.namespaces n where n.namespace_id = tt.namespace_id;
alter table tasker.task_templates alter column namespace set not null;
create index task_templates_by_name on tasker.task_templates (namespace, name, version_key, template_id);

-- Filled in by end.sql.
alter table tasker.template_steps
  add column parent_indexes integer[] not null default '{}',
  add column parent_names text[] not null default '{}',
  add column namespace text not null default '',
  add column task_name text not null default '',
  add column task_version text not null default '';
alter table tasker.template_steps
  alter column parent_indexes drop default,
  alter column parent_names drop default,
  alter column namespace drop default,
  alter column task_name drop default,
  alter column task_version drop default;

-- One for all takes their place (constraints.sql).
alter table tasker.tasks
  drop constraint tasks_active_steps_is_not_negative,
  drop constraint tasks_error_steps_is_not_negative,
  drop constraint tasks_claim_timeout_is_in_range,
  drop constraint tasks_priority_is_in_range,
  drop constraint tasks_state_is_known,
  drop constraint tasks_context_is_an_object,
  drop constraint tasks_ended_has_its_time,
  drop constraint tasks_pending_has_not_started;
alter table tasker.steps
  drop constraint steps_remaining_parents_is_not_negative,
  drop constraint steps_attempts_is_not_negative,
  drop constraint steps_max_attempts_is_positive,
  drop constraint steps_state_is_known,
  drop constraint steps_reported_status_is_known,
  drop constraint steps_belongs_to_its_task,
  drop constraint steps_in_flight_has_an_attempt,
  drop constraint steps_retry_has_a_time,
  drop constraint steps_report_is_whole,
  drop constraint steps_ended_has_its_time;
alter table tasker.timers
  drop constraint timers_kind_is_known,
  drop constraint timers_has_one_subject,
  drop constraint timers_steps_have_attempts;

alter table tasker.tasks set (fillfactor = 30);
alter table tasker.steps set (fillfactor = 40);
alter table tasker.waiting set (autovacuum_vacuum_cost_delay = 0);
alter table tasker.timers set (autovacuum_vacuum_cost_delay = 0);
alter table tasker.in_flight_deltas set (autovacuum_vacuum_cost_delay = 0);

alter table tasker.dead_letters
  drop constraint dead_letters_reason_is_known,
  add constraint dead_letters_reason_is_known check (reason in ('retries_exhausted', 'not_retryable', 'deadline', 'stuck'));

create table tasker.held_events (
  held_event_id bigint generated always as identity constraint held_events_pkey primary key,
  namespace_id  bigint not null,
  message       jsonb
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

create table tasker.namespace_grants (
  role       regrole not null,
  granted    text not null constraint namespace_grants_granted_is_known check (granted in ('worker', 'requester', 'author')),
  namespace  text not null constraint namespace_grants_namespace_is_plain check (namespace ~ '^[a-z][a-z0-9_]{0,28}$'),
  plain      boolean not null constraint namespace_grants_plain_is_for_workers check (not plain or granted = 'worker'),
  granted_at timestamptz not null,
  granted_by text not null,
  constraint namespace_grants_pkey primary key (role, granted, namespace)
);

-- The queues that are there get what new ones get.
do $$
declare
  queue regclass;
  name  text;
begin
  for queue in
    select c.oid
    from pgmq.meta q
    join pg_catalog.pg_class c on c.relname = 'q_' || q.queue_name and c.relnamespace = 'pgmq'::regnamespace
    where c.relowner = 'tasker_owner'::regrole
  loop
    execute pg_catalog.format('alter table %s set (autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off)', queue);
  end loop;
  for name in select n.name from tasker.namespaces n loop
    execute pg_catalog.format('drop index if exists pgmq.%I', pg_catalog.format('q_%s_queue_vt_idx', name));
  end loop;
end $$;

-- Who takes or sends messages writes the columns that pgmq's functions write, and no others (_queue_right).
do $$
declare
  queue   regclass;
  grantee regrole;
  held    text;
  narrow  text;
begin
  for queue, grantee, held, narrow in
    select c.oid, a.grantee, a.privilege_type,
      case a.privilege_type when 'UPDATE' then 'update (vt, read_ct, last_read_at)' else 'insert (vt, message, headers)' end
    from pgmq.meta q
    join pg_catalog.pg_class c on c.relname = 'q_' || q.queue_name and c.relnamespace = 'pgmq'::regnamespace
    cross join lateral pg_catalog.aclexplode(c.relacl) a
    where c.relowner = 'tasker_owner'::regrole and a.privilege_type in ('UPDATE', 'INSERT')
      and a.grantee in ('tasker_worker'::regrole, 'tasker_requester'::regrole)
  loop
    execute pg_catalog.format('revoke %s on %s from %s', held, queue, grantee);
    execute pg_catalog.format('grant %s on %s to %s', narrow, queue, grantee);
  end loop;
end $$;

alter table tasker.step_transitions drop column task_id, add column execution_time_ms integer, drop constraint step_transitions_pkey;
create index step_transitions_by_step on tasker.step_transitions (step_id);

create index waiting_held on tasker.waiting (namespace_id, template_id, priority, since, task_id, step_id)
  where claimed_by is not null;

-- Tells now what it estimates.
drop function tasker.get_system_health_counts();
