-- migrate:up
-- Calls between two users have a callee, and a row tells by which role it was made. No foreign key:
-- with a second one to users, PostgREST would refuse `select=*,users(...)` as ambiguous.
alter table public.voice_calls
    add column if not exists callee_id uuid,
    add column if not exists made_by text not null default current_user;
comment on column public.voice_calls.callee_id is 'The user who was called, between users; null else';
comment on column public.voice_calls.made_by is 'Role that inserted the row';

create index if not exists idx_voice_calls_callee
    on public.voice_calls (callee_id) where callee_id is not null;

-- Who was called reads the call as who was in it does.
create or replace function voice_access.calls_taken_part_in() returns setof uuid
language sql stable security definer set search_path = '' rows 100 as $$
    select call_id from public.call_participants where user_id = auth.uid()
    union all
    select id from public.voice_calls where callee_id = auth.uid()
$$;

-- The row of a call that already stands for this job's call, or null.
-- 1. the row of this very room session, or made by this very job, 2. the row that the front end
-- named by callId, 3. the row whose session_id is the room's name; 2 and 3 only if no other room
-- session has claimed it and it did not end before our room was made, and never for a call whose
-- owner has deleted it: what is left of it must not land in the next call of the same name.
-- 3 of a user's own making only if his id is part of the name, as in `call-<user>-<ms>`: else he
-- could wait under the name of somebody's room, and be given the call that is held there.
create or replace function voice_worker.find_call(
    wanted_sid text, own_key uuid, named uuid, wanted_session text, room_made timestamptz
) returns uuid
language plpgsql stable set search_path = '' as $$
declare
    found_id uuid;
begin
    select id into found_id from public.voice_calls where room_sid = wanted_sid;
    if found_id is null then
        select id into found_id from public.voice_calls where id = own_key;
    end if;
    if found_id is null and voice_worker.was_deleted(wanted_sid, own_key, named) then
        return null;
    end if;
    if found_id is null and named is not null then
        select id into found_id from public.voice_calls
        where id = named and room_sid is null
        and (ended_at is null or room_made is null or ended_at >= room_made);
    end if;
    if found_id is null then
        select id into found_id from public.voice_calls
        where session_id = wanted_session and room_sid is null
        and (ended_at is null or room_made is null or ended_at >= room_made)
        and (made_by <> 'authenticated' or strpos(session_id, user_id::text) > 0);
    end if;
    return found_id;
end
$$;
revoke all on function voice_worker.find_call(text, uuid, uuid, text, timestamptz) from public;

call voice_worker.schema_reached(61, 60);

-- migrate:down
