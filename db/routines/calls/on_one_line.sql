-- Puts what somebody says, or is called, on one line: otherwise it could pass for the words of
-- another.
--
-- said: the text. Locks: none. Result: the text with each run of white space and control characters as
-- one blank. Called by: voice_worker, and transcript_of.
create or replace function voice_worker.on_one_line(said text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select btrim(regexp_replace(said, '[\s[:cntrl:]\u0085\u2028\u2029]+', ' ', 'g'))
$$;

revoke all on function voice_worker.on_one_line(text) from public;
grant execute on function voice_worker.on_one_line(text) to voice_worker;
