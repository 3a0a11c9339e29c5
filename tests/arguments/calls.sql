-- A procedure that calls public functions with arguments of all sorts, and writes down every error: calls(how many, seed).
create table said (function text, state text, message text, call text);

-- An argument of that type, as text.
create function argument(type text) returns text language plpgsql as $$
declare
  choices text[] := case type
    when 'bigint' then array['0', '1', '2', '65536', '65537', '65538', '131073', '-1', '9007199254740991', '9223372036854775807', '-9223372036854775808']
    when 'integer' then array['0', '1', '2', '10', '-1', '10001', '2147483647', '-2147483648']
    when 'smallint' then array['0', '2', '-1', '32767']
    when 'boolean' then array['true', 'false']
    when 'text' then array['''shop''', '''other''', '''two''', '''a''', '''''', '''x'' || chr(39) || '';drop''', 'repeat(''x'', 70000)',
      '''%s %I''', 'e''\u0001''', '''mermaid''', '''complete''', '''2.0.0''', '''worker''', '''{}''', 'e''name: &a [*a]''',
      'repeat(''['', 10000)', '''é😀''']
    when 'text[]' then array['''{}''', 'array[null]', 'array[''a'']', 'array[''a'', null, '''']', 'array_fill(''x''::text, array[3, 3])',
      '''[5:6]={a,b}''', 'array_fill(''x''::text, array[20000])']
    when 'jsonb' then array['''{}''', '''null''', '''[]''', '''1e400''', '''"x"''', '''{"message": 5}''',
      '''{"step_id": 65537, "attempt": 1, "status": "success"}''', '''{"headers": {"retry-after": "99999999999999999999"}}''',
      '''{"backoff_hint": {"seconds": 1e300}}''', '''{"backoff_hint": {"type": null, "seconds": -5}}''',
      '''{"error_type": "x", "retryable": "no", "status_code": "x"}''', '(repeat(''['', 5000) || repeat('']'', 5000))',
      '''{"namespace_name": "shop", "name": "z", "steps": [{"name": "a"}]}''']
    when 'jsonb[]' then array['''{}''', 'array[null]', 'array[''{}'', ''null'']',
      'array[''{"step_id": 65537, "attempt": 1, "status": "success"}'', ''{"step_id": 65537, "attempt": 1, "status": "failure"}'']',
      'array[''{"step_id": 1e30, "attempt": 1, "status": "success"}'']', 'array[''{"step_id": 131073.5, "attempt": -1, "status": "success"}'']',
      'array[''{"step_id": "65537", "attempt": null, "status": "SUCCESS"}'']',
      'array_fill(''{"step_id": 65537, "attempt": 1, "status": "success"}''::jsonb, array[2, 2])']
    when 'interval' then array['''0''', '''-1 s''', '''1 ms''', '''100000000 years''', '''-100000000 years''', '''1 mon -30 days''', '''5 s''']
    when 'timestamp with time zone' then array['''infinity''', '''-infinity''', 'now()', '''294276-12-31''', '''4713-01-01 BC''']
    when 'uuid' then array['gen_random_uuid()', '''00000000-0000-0000-0000-000000000000''']
    when 'bigint[]' then array['''{}''', 'array[1, 2, 3]', 'array[null, 65537]', 'array[9223372036854775807, -1]', 'array_fill(65537::bigint, array[2, 2])']
    when 'integer[]' then array['''{}''', 'array[1]', 'array[1, null]', 'array[1, 1]', 'array_fill(1, array[2, 2])', 'array[2147483647, -1]']
  end;
begin
  if choices is null then
    raise exception 'nothing to choose for an argument of type %', type;
  end if;
  return format('(%s)::%s', case when random() < 0.08 then 'null' else choices[1 + floor(random() * cardinality(choices))::integer] end, type);
end $$;

create procedure calls(how_many integer, seed double precision) language plpgsql as $$
declare
  -- Not those that end a test, or wait for minutes.
  functions constant regprocedure[] := array(
    select p.oid::regprocedure from pg_proc p
    where p.pronamespace = 'tasker'::regnamespace and p.proname not like '\_%'
      and p.proname not in ('uninstall', 'wait_for_task', 'run_until_idle', 'drop_namespace', 'purge_namespace')
    order by p.oid::regprocedure::text collate "C");
  chosen regprocedure;
  call   text;
  state  text;
  reason text;
begin
  perform setseed(seed);
  for n in 1 .. how_many loop
    if n % 50 = 0 then
      perform tasker.request_task(s, 'two') from unnest('{shop,other}'::text[]) s(s)
        where exists (select from tasker.list_templates(s) t where t.name = 'two' and t.is_default);
      perform tasker.orchestrate();
    end if;
    chosen := functions[1 + floor(random() * cardinality(functions))::integer];
    select format('select count(*) from tasker.%I(%s)', p.proname, string_agg(case when t.n > 0 then argument(format_type(t.type, null)) end, ', ' order by t.n)) into call
    from pg_proc p
    left join lateral unnest(p.proargtypes) with ordinality t(type, n) on true
    where p.oid = chosen
    group by p.oid;
    begin
      execute call;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, reason = message_text;
      insert into said values (chosen::text, state, left(reason, 200), left(call, 1000));
    end;
    if n % 20 = 0 then
      commit;
    end if;
  end loop;
end $$;
