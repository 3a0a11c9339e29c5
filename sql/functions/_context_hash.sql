-- What makes two requests the same under identity strategy strict: SHA-256 over the template and its context in
-- canonical JSON. jsonb's text has sorted, unique keys and no optional white space, but keeps 1.0 and 1 apart, which one
-- language writes where another writes the other: zeros that end a fraction go. Strings are matched first, so that
-- their contents stay.
create or replace function tasker._context_hash(template_id bigint, context jsonb)
returns bytea
language sql immutable parallel safe
return sha256(convert_to(
  _context_hash.template_id || '/' || case
    when _context_hash.context::text ~ '\.[0-9]*0'
      then regexp_replace(_context_hash.context::text, '("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0+(?![0-9])|\.0+(?![0-9])', '\1\2', 'g')
    else _context_hash.context::text
  end, 'UTF8'));
