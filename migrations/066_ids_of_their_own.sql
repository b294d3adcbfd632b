-- migrate:up
-- Who knows an id that the recorder has made can take it before the recorder's row is stored: a call
-- under its key, a message or leg of a call of his own under its id. The batch then went into that
-- row, so into the other one's call. From now on what is in another call is never ours.

-- Of our own call a tombstone has the room's sid. One under our key alone may be anybody's: it was
-- enough to make a call of that id and to delete it.
create or replace function voice_worker.was_deleted(
    wanted_sid text, own_key uuid, named uuid
) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (
        select from voice_worker.tombstones
        where room_sid = wanted_sid or call_id = named
    )
$$;

-- As in 061, but without the row of the own key: it has the room's sid too, if it is ours.
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

-- As in 060, but for the two places that took any row of that key for our own.
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
        else
            -- Claimed once: whoever else had found the same free row finds it taken.
            update public.voice_calls v set
                room_sid = sid,
                started_at = coalesce(v.started_at, started),
                ai_agent_used = true,
                agent_identity = left(c ->> 'agent_identity', 255),
                job_id = c ->> 'job_id',
                job_started_at = started,
                worker_id = (c ->> 'worker_id')::uuid,
                metadata = coalesce(v.metadata, '{}') || coalesce(c -> 'metadata', '{}'),
                -- A newer job in the same room session takes the call over from one that died.
                status = case when reopened then
                    (case when v.connected_at is null then 'pending' else 'active' end)::public.call_status
                    else v.status end,
                ended_at = case when reopened then null else v.ended_at end,
                end_reason = case when reopened then null else v.end_reason end
            from (
                select o.status = 'failed'
                    and o.end_reason in ('worker_crashed', 'worker_lost') as reopened
                from public.voice_calls o where o.id = target
            ) was
            where v.id = target
                and (v.room_sid is null or v.room_sid = sid)
                and (v.job_started_at is null or v.job_started_at < started);
            -- Locked also if nothing changed: apply_messages counts on it.
            perform from public.voice_calls
            where id = target and room_sid = sid for no key update;
            if not found then
                target := null;
            end if;
        end if;
        if target is not null then
            return target;
        end if;
    end loop;
    raise exception 'call of room % could not be claimed', sid using errcode = 'serialization_failure';
end
$$;

-- A row of another call that has the id of one of ours gets another id, and so stays where it is.
create or replace function voice_worker.clear_ids(ids jsonb, legs jsonb, messages jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    taken uuid[];
begin
    select array_agg(p.id) into taken
    from jsonb_to_recordset(legs) as r (id uuid, call text)
    join public.call_participants p on p.id = r.id and p.call_id <> (ids ->> r.call)::uuid;
    if taken is not null then
        update public.call_participants set id = voice_worker.uuid_v7() where id = any (taken);
    end if;
    select array_agg(m.id) into taken
    from jsonb_to_recordset(messages) as r (id uuid, call text)
    join public.voice_messages m on m.id = r.id and m.call_id <> (ids ->> r.call)::uuid;
    if taken is not null then
        update public.voice_messages set id = voice_worker.uuid_v7() where id = any (taken);
    end if;
end
$$;
revoke all on function voice_worker.clear_ids(jsonb, jsonb, jsonb) from public;
grant execute on function voice_worker.clear_ids(jsonb, jsonb, jsonb) to voice_worker;

-- As in 060, but a request is only attached to a message of its own call.
create or replace function voice_worker.apply_usage(ids jsonb, usage jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into public.voice_usage as u (
        id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
        cached_input_tokens, output_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
        duration_ms, ttft_ms, cancelled, estimated, created_at, metadata, revision
    )
    select
        r.id, (ids ->> r.call)::uuid,
        -- A message that was refused or deleted, or is another call's, leaves its requests unattached.
        (
            select m.id from public.voice_messages m
            where m.id = r.message_id and m.call_id = (ids ->> r.call)::uuid
        ),
        r.kind, r.provider, r.model, r.request_id, r.speech_id, coalesce(r.input_tokens, 0),
        coalesce(r.cached_input_tokens, 0), coalesce(r.output_tokens, 0),
        coalesce(r.reasoning_tokens, 0), coalesce(r.total_tokens, 0), r.audio_ms,
        r.characters, r.duration_ms, r.ttft_ms, coalesce(r.cancelled, false),
        coalesce(r.estimated, false), r.at, coalesce(r.metadata, '{}'), r.revision
    from jsonb_to_recordset(usage) as r (
        id uuid, call text, message_id uuid, kind text, provider text, model text, request_id text,
        speech_id text, input_tokens int, cached_input_tokens int, output_tokens int,
        reasoning_tokens int, total_tokens int, audio_ms int, characters int, duration_ms int,
        ttft_ms int, cancelled boolean, estimated boolean, at timestamptz, metadata jsonb,
        revision bigint
    )
    where ids ->> r.call is not null
    on conflict (id) do update set
        message_id = excluded.message_id,
        kind = excluded.kind,
        provider = excluded.provider,
        model = excluded.model,
        request_id = excluded.request_id,
        speech_id = excluded.speech_id,
        audio_ms = excluded.audio_ms,
        characters = excluded.characters,
        duration_ms = excluded.duration_ms,
        ttft_ms = excluded.ttft_ms,
        created_at = excluded.created_at,
        input_tokens = excluded.input_tokens,
        cached_input_tokens = excluded.cached_input_tokens,
        output_tokens = excluded.output_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        total_tokens = excluded.total_tokens,
        cancelled = excluded.cancelled,
        estimated = excluded.estimated,
        metadata = excluded.metadata,
        revision = excluded.revision
    where u.revision < excluded.revision
$$;

-- As in 060, and first of all its ids are its own.
create or replace function voice_worker.apply_batch(batch jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids jsonb := '{}';
    c jsonb;
begin
    perform set_config('voice_worker.applying', 'on', true);
    -- What is answered as stored is removed from the worker's disk: it must be on this one.
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    -- All locks first and in one order, so that two batches over the same calls cannot deadlock.
    perform from public.voice_calls where id in (
        select voice_worker.find_call(
            r.room_sid, r.key, r.call_id, r.session_id, r.room_created_at
        )
        from jsonb_to_recordset(batch -> 'calls') as r (
            room_sid text, key uuid, call_id uuid, session_id text, room_created_at timestamptz
        )
    ) order by id for no key update;
    for c in select value from jsonb_array_elements(batch -> 'calls') loop
        ids := ids || jsonb_build_object(c ->> 'key', voice_worker.claim_call(c));
    end loop;
    perform voice_worker.clear_ids(ids, batch -> 'legs', batch -> 'messages');
    perform voice_worker.apply_legs(ids, batch -> 'legs');
    perform voice_worker.apply_messages(ids, batch -> 'messages');
    perform voice_worker.apply_usage(ids, batch -> 'usage');
    for c in select value from jsonb_array_elements(batch -> 'calls') loop
        perform voice_worker.progress_call((ids ->> (c ->> 'key'))::uuid, c);
    end loop;
    -- In every batch, not only in that of the end: a leg can be told after it.
    perform voice_worker.close_legs(ids, batch -> 'calls');
    -- A call that no front end made belongs to the first user who was in it.
    update public.voice_calls v set user_id = first.user_id
    from (
        select distinct on (p.call_id) p.call_id, p.user_id
        from jsonb_to_recordset(batch -> 'legs') as r (call text, id uuid)
        join public.call_participants p on p.id = r.id
        where p.user_id is not null and p.call_id = (ids ->> r.call)::uuid
        order by p.call_id, p.joined_at, p.id
    ) first
    where v.id = first.call_id and v.user_id is null;
    perform voice_worker.note_phone_calls(ids, batch -> 'legs');
    perform set_config('voice_worker.applying', 'off', true);
    return jsonb_build_object('call_ids', ids);
end
$$;

-- As in 031, but for last_step, and one way alone to the newest number.
create or replace function voice_worker.number_message() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
-- A plan that was made while the table was small, or unknown, stays with the session: it may read the
-- whole call for each message. Only the end of the index is read.
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
    -- A number further ahead is no counting but a mistake, and could use up the range of int.
    widest_gap constant int := 1000;
    -- Nor can many such steps use it up: from here on each number is the next.
    last_step constant int := 1000000000;
    newest int;
begin
    perform from public.voice_calls where id = new.call_id for no key update;
    if exists (select from public.voice_messages where id = new.id) then
        return new;
    end if;
    select sequence_number into newest from public.voice_messages
    where call_id = new.call_id and sequence_number is not null
    order by sequence_number desc limit 1;
    newest := coalesce(newest, 0);
    if new.sequence_number is null
        or new.sequence_number not between newest + 1 and least(newest + widest_gap, last_step)
    then
        new.sequence_number := newest + 1;
    end if;
    return new;
end
$$;

call voice_worker.schema_reached(66, 60);

-- migrate:down
