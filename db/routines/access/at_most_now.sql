-- Limits a time from a browser's clock to the span from a given time to now. given: null stays
-- null; earliest: null for no limit. Locks: none. Called by: the triggers, nobody else.
create or replace function voice_worker.at_most_now(given timestamptz, earliest timestamptz)
returns timestamptz
language sql stable parallel safe
return case when given is not null then least(greatest(given, earliest), now()) end;

revoke all on function voice_worker.at_most_now(timestamptz, timestamptz) from public;
