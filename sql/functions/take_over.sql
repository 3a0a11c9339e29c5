create or replace function tasker.take_over()
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  delete from tasker.identity;
  perform tasker._take_identity();
  perform tasker._ensure_queues();
  perform tasker._wake();
end $$;
comment on function tasker.take_over is
  'Makes the engine of this database belong to this cluster and database, so that a restored, copied or upgraded one begins to work. Call it when the original does not work any more, or when the copy is to do its work too.';
