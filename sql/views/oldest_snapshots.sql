create view tasker.oldest_snapshots as
select
  h.kind,
  h.holder,
  h.pid,
  h.role,
  h.application_name,
  h.state,
  h.since,
  clock_timestamp() - h.since as age,
  h.age_in_transactions,
  case
    when h.kind = 'prepared transaction' then format('COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L.', h.holder)
    when h.kind = 'replication slot' and h.state = 'inactive'
      then format('Nobody reads it. Start its reader again, or SELECT pg_drop_replication_slot(%L).', h.holder)
    when h.kind in ('replication slot', 'standby') then 'A query on a standby with hot_standby_feedback. End it there, or switch that off.'
    when h.state like 'idle in transaction%'
      then format('SELECT pg_terminate_backend(%s), and set idle_in_transaction_session_timeout.', h.pid)
    else format('It ends with its statement or transaction, or by SELECT pg_cancel_backend(%s).', h.pid)
  end as advice
from (
  -- A snapshot holds back the tables of its database, and a standby's those of all.
  select case when b.is_walsender then 'standby' else 'session' end as kind, b.pid::text as holder, b.pid,
    pg_get_userbyid(b.role) as role, b.application_name, b.state, b.since,
    greatest(age(b.xmin), age(b.xid)) as age_in_transactions
  from tasker._backend_snapshots() b
  join pg_database d on d.datname = current_database()
  where (b.database in (0, d.oid) or b.is_walsender) and b.pid <> pg_backend_pid()
  union all
  select 'prepared transaction', p.gid, null, p.owner, null, null, p.prepared, age(p.transaction)
  from pg_prepared_xacts p
  where p.database = current_database()
  union all
  -- What a slot's catalog_xmin holds back are the system catalogs alone.
  select 'replication slot', s.slot_name, s.active_pid, null, null, case when s.active then 'active' else 'inactive' end,
    null, age(s.xmin)
  from pg_replication_slots s
  where s.xmin is not null
) h
order by h.age_in_transactions desc, h.since;
comment on view tasker.oldest_snapshots is
  'Who keeps vacuum from removing dead rows of this database, the oldest first: sessions with a snapshot or transaction open (but for one''s own), prepared transactions, replication slots, standbys. The older the first one, the more dead rows those who read queues walk over.';
comment on column tasker.oldest_snapshots.kind is 'session, prepared transaction, replication slot or standby.';
comment on column tasker.oldest_snapshots.holder is 'Process id, name of the prepared transaction, or name of the slot.';
comment on column tasker.oldest_snapshots.pid is 'The process; NULL for a prepared transaction, and for a slot that nobody uses.';
comment on column tasker.oldest_snapshots.role is 'Who has logged in or prepared it; NULL for a slot.';
comment on column tasker.oldest_snapshots.application_name is 'As the session calls itself; NULL for others.';
comment on column tasker.oldest_snapshots.state is 'Of a session, as in pg_stat_activity; of a slot, active or inactive.';
comment on column tasker.oldest_snapshots.since is 'When the transaction began or was prepared; NULL for a slot or standby.';
comment on column tasker.oldest_snapshots.age is 'How long ago that was.';
comment on column tasker.oldest_snapshots.age_in_transactions is 'How many transactions of the cluster have begun to write since its snapshot.';
comment on column tasker.oldest_snapshots.advice is 'How to end it.';
