-- Puts a person's words or name on one line: otherwise it could look like another person's words.
--
-- said: the text. Locks: none. Result: the text with each run of white space and control characters as
-- one blank. Called by: voice_worker, and transcript_of. Most text has only single blanks and is
-- returned unchanged. Without its own search_path, so that Postgres can inline it.
create or replace function voice_worker.on_one_line(said text) returns text
language sql immutable parallel safe
return btrim(case
    when said ~ '[^\S ]|[[:cntrl:]\u0085\u2028\u2029]|  '
        then regexp_replace(said, '[\s[:cntrl:]\u0085\u2028\u2029]+', ' ', 'g')
    else said
end);

revoke all on function voice_worker.on_one_line(text) from public;
grant execute on function voice_worker.on_one_line(text) to voice_worker;
