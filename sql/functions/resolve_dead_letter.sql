create or replace function tasker.resolve_dead_letter(id bigint, resolution text, notes text default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict error
begin
  if coalesce(resolve_dead_letter.resolution, '') = '' then
    raise exception using errcode = 'invalid_parameter_value', message = 'resolution must say how it was resolved',
      hint = 'For example: fixed, ignored, retried, cancelled.';
  end if;
  perform tasker._check_length('resolution', resolve_dead_letter.resolution, 1024);
  perform tasker._check_length('notes', resolve_dead_letter.notes, 10000);
  if not exists (select from tasker.dead_letters d where d.dead_letter_id = resolve_dead_letter.id) then
    raise exception using errcode = 'undefined_object',
      message = format('dead letter %s does not exist', coalesce(resolve_dead_letter.id::text, 'NULL'));
  end if;
  update tasker.dead_letters d
  set resolved_at = tasker.clock(), resolution = resolve_dead_letter.resolution, notes = resolve_dead_letter.notes,
    resolved_by = session_user
  where d.dead_letter_id = resolve_dead_letter.id and d.resolved_at is null;
  return found;
end $$;
comment on function tasker.resolve_dead_letter is
  'Notes that a person has dealt with a dead letter: resolution in a word (fixed, ignored, retried, cancelled, …), notes. Changes no task: retry_step(), resolve_step() and retry_task() do, and resolve the letter with it. Returns false when it was resolved before. Raises 42704 for an unknown id, 22023 without a resolution, or with one of more than 1,024 or notes of more than 10,000 characters.';
