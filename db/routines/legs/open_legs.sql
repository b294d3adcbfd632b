-- Legs that are open after their call has ended, because only the agent left and people talk on. No
-- event reports when they leave: a worker checks the room.
--
-- Locks: none. Result: id of the leg, name of the room, LiveKit's id of the participant. Called by:
-- voice_worker.
create or replace function voice_worker.open_legs()
returns table (id uuid, room text, sid text)
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select
        p.id,
        -- A room name that was taken already stands in room_name.
        case when c.session_id like '%@' || c.room_sid then c.room_name else c.session_id end,
        p.participant_sid
    from public.call_participants p
    join public.voice_calls c on c.id = p.call_id
    -- A leg that a user added himself is nobody's in the room.
    where p.left_at is null and p.participant_type <> 'agent' and p.participant_sid is not null
        and c.ended_at is not null and voice_worker.people_talk_on(c.end_reason)
$$;

revoke all on function voice_worker.open_legs() from public;
grant execute on function voice_worker.open_legs() to voice_worker;
