-- From 0.1.0 to 0.2.0, by hand: tables, types, and functions that CREATE OR REPLACE cannot change (another type of
-- result, other names of parameters). `cargo test --test upgrade` says what is missing here.

-- A request knows what the engine needs of its template.
alter type tasker._task_request
  add attribute namespace_id bigint,
  add attribute template_name text,
  add attribute identity_strategy text,
  add attribute has_input_schema boolean;
drop function tasker._find_template(text, text, text);
