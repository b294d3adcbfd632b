-- Inserts the row of a call, or claims the existing one.
--
-- c: the call in the batch: key, room_sid, session_id, taken_session_id (the name to use if
-- session_id is taken), call_id (the row that the front end named), job_id, at, room_created_at,
-- worker_id, agent_identity, metadata.
-- Locks: the call's row.
-- Result: its id; null if the owner of the call has deleted it. Error 40001 after five attempts in
-- which another session claimed the row first. Called by: voice_worker.
create or replace function voice_worker.claim_call(c jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sid constant text := c ->> 'room_sid';
    own_key constant uuid := (c ->> 'key')::uuid;
    named constant uuid := (c ->> 'call_id')::uuid;
    started constant timestamptz := (c ->> 'at')::timestamptz;
    target uuid;
begin
    for attempt in 1 .. 5 loop
        target := voice_worker.find_call(
            sid, own_key, named, c ->> 'session_id', (c ->> 'room_created_at')::timestamptz
        );
        if target is null then
            if voice_worker.was_deleted(sid, own_key, named) then
                return null;
            end if;
            insert into public.voice_calls (
                id, session_id, room_name, room_sid, started_at, ai_agent_used, agent_identity,
                job_id, job_started_at, worker_id, metadata
            )
            select
                -- A row that somebody made under our key is not ours.
                case when exists (select from public.voice_calls where id = own_key)
                    then voice_worker.uuid_v7() else own_key end,
                names.session_id, names.room_name, sid, started, true,
                left(c ->> 'agent_identity', 255), c ->> 'job_id', started, (c ->> 'worker_id')::uuid,
                coalesce(c -> 'metadata', '{}')
            from (
                select
                    -- Anybody who knows a room's sid can take its name@sid too. Nobody knows the
                    -- key: one call must never keep all the others from being stored.
                    (
                        select n.name
                        from (values
                            (1, c ->> 'session_id'), (2, c ->> 'taken_session_id'),
                            (3, own_key::text)
                        ) n (place, name)
                        where not exists (
                            select from public.voice_calls v where v.session_id = n.name
                            -- Such a row gives the name up (free_name).
                            and (
                                v.room_sid is not null or v.worker_id is not null
                                or v.made_by <> 'authenticated'
                            )
                        )
                        order by n.place limit 1
                    ) as session_id,
                    c ->> 'session_id' as room_name
            ) names
            on conflict do nothing
            returning id into target;
        elsif not voice_worker.take_call(target, c) then
            target := null;  -- claimed once: whoever else had found the same free row finds it taken
        end if;
        if target is not null then
            return target;
        end if;
    end loop;
    raise exception 'call of room % could not be claimed', sid using errcode = 'serialization_failure';
end
$$;

revoke all on function voice_worker.claim_call(jsonb) from public;
grant execute on function voice_worker.claim_call(jsonb) to voice_worker;
