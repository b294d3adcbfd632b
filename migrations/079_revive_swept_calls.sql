-- migrate:up
-- A sweep ends calls whose worker is silent (080). Its end is a guess, told by ended_at = swept_at:
-- the job's own events and a front end's own end of the call take its place.

create or replace function voice_worker.is_swept(
    status public.call_status, end_reason text, ended_at timestamptz, swept_at timestamptz
) returns boolean
language sql immutable parallel safe as $$
    select coalesce(
        status = 'failed' and end_reason in ('worker_lost', 'not_served') and ended_at = swept_at,
        false
    )
$$;
revoke all on function voice_worker.is_swept(public.call_status, text, timestamptz, timestamptz)
    from public;

-- As in 065, and: a front end that ends a swept call is right.
create or replace function voice_worker.block_reopen() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('voice_worker.applying', true) = 'on'
        and has_schema_privilege('voice_worker', 'usage')
    then
        return new;
    end if;
    if old.status in ('completed', 'failed') then
        new.started_at := old.started_at;
        new.connected_at := old.connected_at;
        -- The condition of is_swept, which a front end may not call.
        if old.status = 'failed' and old.end_reason in ('worker_lost', 'not_served')
            and old.ended_at = old.swept_at and new.status in ('completed', 'failed')
            and (new.status, new.ended_at) is distinct from (old.status, old.ended_at)
        then
            new.ended_at := coalesce(new.ended_at, old.ended_at);
            new.end_reason := nullif(new.end_reason, old.end_reason);
            new.swept_at := null;
            return new;
        end if;
        new.ended_at := coalesce(old.ended_at, new.ended_at);
        new.end_reason := old.end_reason;
    end if;
    new.status := old.status;
    return new;
end
$$;
revoke all on function voice_worker.block_reopen() from public;

-- As in 066, and: a row that was swept because nobody served it counts as one that has not ended.
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
        and (made_by <> 'authenticated' or strpos(session_id, user_id::text) > 0);
    end if;
    return found_id;
end
$$;
revoke all on function voice_worker.find_call(text, uuid, uuid, text, timestamptz) from public;

-- Takes a row for a job: a free one, or that of an older job in the same room session. Revives it
-- if a sweep has ended it, also for the job that has it already; legs that the sweep closed open
-- again, unless a newer job came: it tells of who is there in legs of its own.
-- False if the row is another room session's by now.
create or replace function voice_worker.take_call(target uuid, c jsonb) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sid constant text := c ->> 'room_sid';
    started constant timestamptz := (c ->> 'at')::timestamptz;
    was record;
    taken_over boolean;
begin
    -- Locked also if nothing changes: apply_messages counts on it.
    select
        o.job_id, o.job_started_at, o.end_reason,
        voice_worker.is_swept(o.status, o.end_reason, o.ended_at, o.swept_at) as swept,
        o.status = 'failed' and o.end_reason in ('worker_crashed', 'worker_lost') as died
    into was from public.voice_calls o
    where o.id = target and (o.room_sid is null or o.room_sid = sid)
    for no key update;
    if not found then
        return false;
    end if;
    taken_over := coalesce(was.job_started_at < started, true);
    if taken_over then
        update public.voice_calls v set
            room_sid = sid,
            started_at = coalesce(v.started_at, started),
            ai_agent_used = true,
            agent_identity = left(c ->> 'agent_identity', 255),
            job_id = c ->> 'job_id',
            job_started_at = started,
            worker_id = (c ->> 'worker_id')::uuid,
            metadata = coalesce(v.metadata, '{}') || coalesce(c -> 'metadata', '{}')
        where v.id = target;
    end if;
    if (taken_over and (was.swept or was.died)) or (was.swept and was.job_id = c ->> 'job_id') then
        update public.voice_calls v set
            status = (case when v.connected_at is null then 'pending' else 'active' end)::public.call_status,
            ended_at = null, end_reason = null, swept_at = null
        where v.id = target;
        if not taken_over or was.end_reason = 'not_served' then
            update public.call_participants p set left_at = null, closed_by_sweep = false
            where p.call_id = target and p.closed_by_sweep;
        end if;
    end if;
    return true;
end
$$;
revoke all on function voice_worker.take_call(uuid, jsonb) from public;

-- As in 066, with take_call.
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
                            select from public.voice_calls where session_id = n.name
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

grant execute on function
    voice_worker.is_swept(public.call_status, text, timestamptz, timestamptz),
    voice_worker.find_call(text, uuid, uuid, text, timestamptz),
    voice_worker.take_call(uuid, jsonb),
    voice_worker.claim_call(jsonb)
to voice_worker;

call voice_worker.schema_reached(79, 60);

-- migrate:down
