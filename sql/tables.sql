-- What the engine remembers.
--
-- Step ids are computed, not drawn: step_id = task_id * 65536 + 1 + the step's index in its template. So the steps of
-- a task lie side by side in the primary key, a child's id follows from its parent's without a lookup, and a result
-- names its task. 65,535 steps a task, ids below 2^53 up to task 137,438,953,471. An id that is a multiple of 65536
-- is no step.
--
-- No index, and no predicate of one, mentions a column that a normal step or task life changes: all of those updates
-- are HOT. No foreign key leads from the busy tables to tasks (it would take KEY SHARE locks, which our
-- `for update skip locked` readers would trip over), and no trigger stands on them (it would fire on restore).

create table tasker.namespaces (
  namespace_id  bigint generated always as identity constraint namespaces_pkey primary key,
  name          text not null
    constraint namespaces_name_is_unique unique
    constraint namespaces_name_is_plain check (name ~ '^[a-z][a-z0-9_]{0,28}$'),
  description   text,
  paused        boolean not null default false,
  resumed_at    timestamptz,
  max_in_flight integer constraint namespaces_max_in_flight_is_positive check (max_in_flight > 0),
  created_at    timestamptz not null,
  fault         text,
  fault_until   timestamptz,
  constraint namespaces_fault_is_whole check ((fault is null) = (fault_until is null))
);
comment on table tasker.namespaces is 'Groups of templates that one pool of workers serves. Each owns the queue {name}_queue.';
comment on column tasker.namespaces.resumed_at is 'When it was last resumed: what waited while it was paused waits since then.';
comment on column tasker.namespaces.fault is 'Why nothing could be enqueued here; tried again at fault_until.';
comment on column tasker.namespaces.max_in_flight is 'How many steps may be in the queue or at workers at once; NULL = no limit.';

create table tasker.task_templates (
  template_id       bigint generated always as identity constraint task_templates_pkey primary key,
  namespace_id      bigint not null
    constraint task_templates_namespace_exists references tasker.namespaces (namespace_id),
  namespace         text not null,
  name              text not null,
  version           text not null,
  version_key       text collate "C" not null,
  definition        jsonb not null,
  checksum          text not null,
  identity_strategy text not null
    constraint task_templates_identity_strategy_is_known check (identity_strategy in ('always_unique', 'caller_provided', 'strict')),
  on_failure        text not null
    constraint task_templates_on_failure_is_known check (on_failure in ('continue', 'fail_fast')),
  input_schema      jsonb,
  default_context   jsonb not null,
  max_in_flight     integer constraint task_templates_max_in_flight_is_positive check (max_in_flight > 0),
  max_duration      interval,
  max_waiting_for_dependencies interval,
  max_waiting_for_retry interval,
  max_steps_in_process interval,
  fails_when_stuck  boolean not null default false,
  task_events       text[] not null,
  step_events       text[] not null,
  step_count        integer not null constraint task_templates_has_steps check (step_count between 1 and 65535),
  created_at        timestamptz not null,
  created_by        text not null,
  retired_at        timestamptz,
  constraint task_templates_version_is_unique unique (namespace_id, name, version)
);
create index task_templates_by_name on tasker.task_templates (namespace, name, version_key, template_id);
create index task_templates_with_events on tasker.task_templates (template_id) where task_events <> '{}' or step_events <> '{}';
create index task_templates_limited on tasker.task_templates (namespace_id) where max_in_flight is not null;
comment on table tasker.task_templates is 'Named, versioned, immutable DAG definitions. Only retired_at ever changes.';
comment on column tasker.task_templates.namespace is 'The name of its namespace, which never changes: a request finds its template in one table.';
comment on column tasker.task_templates.definition is 'The normal form of the definition, as get_template() returns it.';
comment on column tasker.task_templates.task_events is 'Which ends of a task are published: completed, failed, cancelled.';
comment on column tasker.task_templates.step_events is 'Which ends of a step are published: completed, failed.';
comment on column tasker.task_templates.max_steps_in_process is
  'How long a task may make no progress while messages of it lie in the queue and nobody takes them; NULL = for ever. Likewise max_waiting_for_retry (retries are due) and max_waiting_for_dependencies (nothing but ready steps that cannot be enqueued).';
comment on column tasker.task_templates.fails_when_stuck is 'Whether a task that makes no progress for so long is stopped, too.';
comment on column tasker.task_templates.version_key is 'Text that sorts as the version does by semantic versioning.';

create table tasker.template_steps (
  template_step_id bigint generated always as identity constraint template_steps_pkey primary key,
  template_id      bigint not null
    constraint template_steps_template_exists references tasker.task_templates (template_id) on delete cascade,
  step_index       integer not null constraint template_steps_index_fits_step_id check (step_index between 0 and 65534),
  name             text not null,
  type             text not null,
  handler          jsonb not null,
  retryable        boolean not null,
  max_attempts     integer not null constraint template_steps_max_attempts_is_positive check (max_attempts >= 1),
  backoff          text not null
    constraint template_steps_backoff_is_known check (backoff in ('none', 'linear', 'exponential', 'fibonacci')),
  backoff_base_ms  bigint not null,
  max_backoff_ms   bigint,
  timeout_seconds  integer,
  skippable        boolean not null,
  parent_count     integer not null,
  parent_indexes   integer[] not null,
  parent_names     text[] not null,
  level            integer not null,
  namespace        text not null,
  task_name        text not null,
  task_version     text not null,
  constraint template_steps_index_is_unique unique (template_id, step_index),
  constraint template_steps_name_is_unique unique (template_id, name)
);
comment on table tasker.template_steps is 'The compiled nodes of each template, in template order from 0.';
comment on column tasker.template_steps.max_attempts is 'All tries, the first included; the 0 of a definition is 1 here.';
comment on column tasker.template_steps.parent_indexes is 'The steps that this one depends on, in template order.';
comment on column tasker.template_steps.parent_names is 'The names of the same. These and those of namespace and task are here for messages, which need no other row of the template.';
comment on column tasker.template_steps.level is 'Length of the longest path from a step without parents.';

create table tasker.template_dependencies (
  template_id  bigint not null
    constraint template_dependencies_template_exists references tasker.task_templates (template_id) on delete cascade,
  parent_index integer not null,
  child_index  integer not null,
  constraint template_dependencies_pkey primary key (template_id, parent_index, child_index),
  constraint template_dependencies_is_no_loop check (parent_index <> child_index)
);
create index template_dependencies_by_child on tasker.template_dependencies (template_id, child_index, parent_index);
comment on table tasker.template_dependencies is 'The edges of each template: the step at child_index depends on the one at parent_index.';

-- Constraints of tasks, steps and timers: constraints.sql.
create table tasker.tasks (
  task_id               bigint generated always as identity constraint tasks_pkey primary key,
  template_id           bigint not null,
  namespace_id          bigint not null,
  created_at            timestamptz not null,
  run_at                timestamptz,
  started_at            timestamptz,
  finished_at           timestamptz,
  correlation_id        uuid not null,
  parent_correlation_id uuid,
  active_steps          integer not null default 0,
  error_steps           integer not null default 0,
  claim_timeout_seconds integer not null default 60,
  priority              smallint not null,
  state                 text not null default 'pending',
  stopping              text,
  context               jsonb not null,
  identity_key          text,
  context_hash          bytea,
  initiator             text,
  source_system         text,
  reason                text,
  tags                  text[] not null default '{}',
  bypass_steps          text[] not null default '{}'
) with (fillfactor = 30);
create index tasks_by_correlation on tasker.tasks (correlation_id);
create unique index tasks_identity_key_is_unique on tasker.tasks (namespace_id, identity_key) where identity_key is not null;
create index tasks_by_context_hash on tasker.tasks (context_hash) where context_hash is not null;
comment on table tasker.tasks is 'Runs of templates.';
comment on column tasker.tasks.active_steps is 'Steps that are ready, in flight or waiting for a retry. At 0 the task is over.';
comment on column tasker.tasks.error_steps is 'Steps in state error. A task that is over with any of them ends in error.';
comment on column tasker.tasks.stopping is 'Why nothing more of this task is tried (fail_fast, deadline, stuck); NULL = goes on.';
comment on column tasker.tasks.identity_key is 'Template name, a slash and the idempotency key: unique in the namespace.';
comment on column tasker.tasks.context_hash is 'SHA-256 over template name and context, under identity strategy strict.';

create table tasker.steps (
  step_id                 bigint constraint steps_pkey primary key,
  task_id                 bigint not null,
  template_step_id        bigint not null,
  msg_id                  bigint,
  enqueued_at             timestamptz,
  started_at              timestamptz,
  reported_at             timestamptz,
  finished_at             timestamptz,
  next_retry_at           timestamptz,
  last_failure_at         timestamptz,
  ordinal                 integer not null default 0,
  remaining_parents       integer not null,
  attempts                integer not null default 0,
  max_attempts            integer not null,
  backoff_request_seconds integer,
  state                   text not null default 'pending',
  reported_status         text,
  worker_id               text,
  results                 jsonb,
  last_error              jsonb
) with (fillfactor = 40);
-- Steps arrive nearly in the order of their tasks; for readers who ask by task_id instead of by the range of ids.
create index steps_by_task on tasker.steps using brin (task_id) with (pages_per_range = 16);
comment on table tasker.steps is 'The nodes of each task, made when the task starts.';
comment on column tasker.steps.remaining_parents is 'Parents that are not complete, resolved_manually or skipped yet.';
comment on column tasker.steps.attempts is 'The attempt in flight, or the last one; 0 = never tried. Never reused.';
comment on column tasker.steps.msg_id is 'The current attempt''s message in the namespace queue.';
comment on column tasker.steps.reported_at is 'When complete_step or fail_step reported the current attempt.';
comment on column tasker.steps.ordinal is 'Number among the copies of a step that is multiplied at run time; 0 for all others.';

create table tasker.waiting (
  namespace_id     bigint not null,
  template_id      bigint not null,
  task_id          bigint not null,
  step_id          bigint,
  since            timestamptz not null,
  priority         smallint not null,
  claimed_by       text,
  claim_expires_at timestamptz,
  fault            text,
  constraint waiting_is_unique unique nulls not distinct (task_id, step_id),
  constraint waiting_claim_is_whole check ((claimed_by is null) = (claim_expires_at is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5);
create index waiting_in_order on tasker.waiting (namespace_id, template_id, priority, since, task_id, step_id)
  where claimed_by is null;
-- Empty but for what is claimed from outside or set aside, so that views and claims find that without reading the rest.
create index waiting_held on tasker.waiting (namespace_id, template_id, priority, since, task_id, step_id)
  where claimed_by is not null;
comment on table tasker.waiting is
  'Work that could not be enqueued at once: a task that has not started (step_id is NULL) or a ready step. Claiming deletes the row.';
comment on column tasker.waiting.claimed_by is 'The orchestrator outside that holds this work, or ''set aside'' with its fault.';

create table tasker.timers (
  timer_id bigint generated always as identity constraint timers_pkey primary key,
  fire_at  timestamptz not null,
  kind     text not null,
  task_id  bigint,
  step_ids bigint[],
  attempts integer[]
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index timers_due on tasker.timers (fire_at);
comment on table tasker.timers is 'What must happen later. One row may stand for a whole batch of attempts with one deadline.';
comment on column tasker.timers.kind is 'start: a task''s run_at; retry: a delay is over; queued: look whether the message is still in the queue; absent: it was seen gone, its time is over; lease: a function worker''s time is over; deadline: a task''s time is over; stuck: has the task made progress?; claim: an outside claim is over, or set aside work is tried again; finish: a task that could not be finished is tried again.';

create table tasker.leases (
  step_id    bigint not null,
  attempt    integer not null,
  expires_at timestamptz not null,
  constraint leases_pkey primary key (step_id, attempt)
) with (fillfactor = 70);
comment on table tasker.leases is 'Attempts whose lease extend_step has moved. All others have only their timer.';

create table tasker.in_flight_deltas (
  namespace_id bigint not null,
  template_id  bigint not null,
  delta        integer not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index in_flight_deltas_by_namespace on tasker.in_flight_deltas (namespace_id);
comment on table tasker.in_flight_deltas is
  'Changes of the number of steps in flight, appended so that nobody shares a row; the engine folds them. Their sum is the number.';

create table tasker.task_transitions (
  task_transition_id bigint generated always as identity,
  task_id            bigint not null,
  created_at         timestamptz not null,
  from_state         text,
  to_state           text not null,
  actor              text not null,
  metadata           jsonb,
  constraint task_transitions_pkey primary key (task_id, task_transition_id)
);
comment on table tasker.task_transitions is 'Every change of a task''s state, append-only. actor is the session user.';

create table tasker.step_transitions (
  step_transition_id bigint generated always as identity,
  step_id            bigint not null,
  created_at         timestamptz not null,
  attempt            integer not null,
  from_state         text,
  to_state           text not null,
  actor              text not null,
  metadata           jsonb,
  execution_time_ms  integer
);
-- No key: nothing refers to these rows, and 8 bytes less an entry are 3 % of a step's write-ahead log beyond its messages.
create index step_transitions_by_step on tasker.step_transitions (step_id);
comment on column tasker.step_transitions.execution_time_ms is 'How long the attempt took, as its worker says.';
comment on table tasker.step_transitions is 'Every change of a step''s state, append-only. actor is the session user.';

create table tasker.rejected_messages (
  rejected_message_id bigint generated always as identity constraint rejected_messages_pkey primary key,
  queue_name          text not null,
  msg_id              bigint not null,
  message             jsonb,
  reason              text not null,
  enqueued_at         timestamptz,
  rejected_at         timestamptz not null
);
comment on table tasker.rejected_messages is 'Messages that could not be used, with the reason.';

create table tasker.dead_letters (
  dead_letter_id bigint generated always as identity constraint dead_letters_pkey primary key,
  task_id        bigint not null,
  step_id        bigint,
  reason         text not null constraint dead_letters_reason_is_known
    check (reason in ('retries_exhausted', 'not_retryable', 'deadline', 'stuck')),
  snapshot       jsonb not null,
  created_at     timestamptz not null,
  resolved_at    timestamptz,
  resolution     text,
  notes          text,
  resolved_by    text,
  constraint dead_letters_resolution_is_whole
    check ((resolved_at is null) = (resolution is null) and (resolved_at is null) = (resolved_by is null))
);
create index dead_letters_by_task on tasker.dead_letters (task_id);
create index dead_letters_open on tasker.dead_letters (reason, created_at) where resolved_at is null;
comment on table tasker.dead_letters is 'Steps that ended in error, tasks past their deadline and tasks that make no progress: what needs a person.';
comment on column tasker.dead_letters.snapshot is 'The step or task as it was then, without its context.';

create table tasker.claims (
  task_id    bigint constraint claims_pkey primary key,
  claimed_by text not null constraint claims_claimed_by_is_not_empty check (claimed_by <> ''),
  claimed_at timestamptz not null,
  expires_at timestamptz not null
);
comment on table tasker.claims is 'Tasks that an orchestrator outside works on: the background orchestrator enqueues nothing of them. Few, or none.';

create table tasker.held_events (
  held_event_id bigint generated always as identity constraint held_events_pkey primary key,
  namespace_id  bigint not null,
  message       jsonb
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table tasker.held_events is
  'Events that the next pass publishes, since somebody held their queue as a whole when they occurred. Few, or none.';
comment on column tasker.held_events.message is 'The event; NULL: only those who LISTEN are to be told.';

create table tasker.retention_mark (
  only_row     boolean constraint retention_mark_pkey primary key default true
    constraint retention_mark_has_one_row check (only_row),
  last_task_id bigint not null,
  rest_until   timestamptz not null
);
comment on table tasker.retention_mark is 'How far the removal of finished tasks has come in its walk over tasks, and until when it rests.';

create table tasker.identity (
  only_row          boolean constraint identity_pkey primary key default true constraint identity_has_one_row check (only_row),
  system_identifier bigint not null,
  database_oid      oid not null,
  taken_at          timestamptz not null,
  taken_by          text not null
);
comment on table tasker.identity is 'The cluster and database that this engine belongs to. A copy with another identity stays idle until take_over().';

create table tasker.namespace_grants (
  role       regrole not null,
  granted    text not null constraint namespace_grants_granted_is_known check (granted in ('worker', 'requester', 'author')),
  namespace  text not null constraint namespace_grants_namespace_is_plain check (namespace ~ '^[a-z][a-z0-9_]{0,28}$'),
  plain      boolean not null constraint namespace_grants_plain_is_for_workers check (not plain or granted = 'worker'),
  granted_at timestamptz not null,
  granted_by text not null,
  constraint namespace_grants_pkey primary key (role, granted, namespace)
);
comment on table tasker.namespace_grants is 'Roles whose rights are limited to namespaces, by grant_worker() and its kin. By name: an author''s namespace need not exist yet.';
comment on column tasker.namespace_grants.plain is 'Whether a worker may also use plain pgmq.';

-- A request with all of its fields resolved: what request_tasks and the request queue agree on.
create type tasker._task_request as (
  template_id           bigint,
  context               jsonb,
  idempotency_key       text,
  priority              smallint,
  run_at                timestamptz,
  correlation_id        uuid,
  parent_correlation_id uuid,
  initiator             text,
  source_system         text,
  reason                text,
  tags                  text[],
  bypass_steps          text[],
  claim_timeout_seconds integer,
  request_id            text,
  -- of its template
  namespace_id          bigint,
  template_name         text,
  identity_strategy     text,
  has_input_schema      boolean
);

-- How one attempt ended.
create type tasker._outcome as (
  step_id      bigint,
  attempt      integer,
  from_state   text,
  namespace_id bigint,
  template_id  bigint,
  success      boolean,
  results      jsonb,
  error        jsonb,
  metadata     jsonb,  -- orchestration_metadata as the worker sent it
  took_ms      integer
);

-- The end of a task or step, as it is published.
create type tasker._end as (
  subject   text,  -- task or step
  task_id   bigint,
  step_id   bigint,
  step_name text,
  state     text,
  outcome   text   -- what a template calls it: completed, failed, cancelled
);

-- What a pass has done so far, and what its later phases have to do: steps that became ready, tasks that may be over.
create type tasker._pass as (
  accepted    integer,
  settled     integer,
  late        integer,
  rejected    integer,
  fired       integer,
  started     integer,
  enqueued    integer,
  finished    integer,
  more        boolean,
  next_due_at timestamptz,
  ready       bigint[],
  ready_in    bigint,  -- the namespace of all that is ready, where that is known and none of their tasks has stopped since
  over        bigint[]
);

-- The functions that follow call each other in any order.
set local check_function_bodies = off;
