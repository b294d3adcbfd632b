-- Finds the existing row of a job's call:
-- 1. the row of this very room session;
-- 2. the row that the front end named by callId;
-- 3. the row whose session_id is the room's name.
-- 2 and 3 apply only if no other room session has claimed the row, and it had not ended before our room
-- was created (a swept row counts as not ended). They never apply to a call that its owner has deleted:
-- its late events must not be stored in the next call with the same name. 3 never applies to a row that
-- a user created: the user could choose the name of another person's room and be given its call. Only
-- the server that signs callId can assign a call to such a row.
--
-- wanted_sid, wanted_session, room_made: LiveKit's id, name and time of the room. own_key: the
-- recorder's key of the call. named: the id that the front end gave, or null.
-- Locks: none. Result: the row's id, or null. Called by: voice_worker.
create or replace function voice_worker.find_call(
    wanted_sid text, own_key uuid, named uuid, wanted_session text, room_made timestamptz
) returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    found_id uuid;
begin
    select id into found_id from public.voice_calls where room_sid = wanted_sid;
    if found_id is null and voice_worker.was_deleted(wanted_sid, own_key, named) then
        return null;
    end if;
    if found_id is null and named is not null then
        select id into found_id from public.voice_calls
        where id = named and room_sid is null
        and (
            ended_at is null or room_made is null or ended_at >= room_made
            or voice_worker.is_swept(status, end_reason, ended_at, swept_at)
        );
    end if;
    if found_id is null then
        select id into found_id from public.voice_calls
        where session_id = wanted_session and room_sid is null
        and (
            ended_at is null or room_made is null or ended_at >= room_made
            or voice_worker.is_swept(status, end_reason, ended_at, swept_at)
        )
        and made_by <> 'authenticated';
    end if;
    return found_id;
end
$$;

revoke all on function voice_worker.find_call(text, uuid, uuid, text, timestamptz) from public;
grant execute on function voice_worker.find_call(text, uuid, uuid, text, timestamptz) to voice_worker;
