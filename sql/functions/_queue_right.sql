-- What a role that speaks plain pgmq gets on a queue's table, to `take` messages or to `send` them: the columns that pgmq's
-- own functions write, and no others. So who takes cannot change what a message says, and who sends cannot choose its id
-- (all others would run into ids that were taken in advance).
create or replace function tasker._queue_right(what text)
returns text
language sql immutable parallel safe
return case what
  when 'take' then 'select, update (vt, read_ct, last_read_at), delete'
  when 'send' then 'insert (vt, message, headers), select (msg_id)'
end;
