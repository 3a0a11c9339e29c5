-- What makes two requests the same under identity strategy strict: SHA-256 over the template and its context in
-- canonical JSON, which is what jsonb's text is: keys sorted and unique, no optional white space.
create or replace function tasker._context_hash(template_id bigint, context jsonb)
returns bytea
language sql immutable parallel safe
return sha256(convert_to(_context_hash.template_id || '/' || _context_hash.context::text, 'UTF8'));
