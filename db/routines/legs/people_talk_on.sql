-- Whether an end reason means that only the agent left, so that people may talk on: TALK_ON in
-- callrecord/events.py.
--
-- Locks: none. Called by: voice_worker.
create or replace function voice_worker.people_talk_on(end_reason text) returns boolean
language sql immutable parallel safe as $$
    select coalesce(end_reason in ('transferred', 'dispatch_deleted'), false)
$$;

revoke all on function voice_worker.people_talk_on(text) from public;
grant execute on function voice_worker.people_talk_on(text) to voice_worker;
