-- migrate:up
-- What the worker's shipper calls: one statement takes in a whole batch, so no lock ever waits for
-- a second message from a worker that went silent. Applying a batch again changes nothing.
-- Runs with the worker's rights (SECURITY INVOKER) under its own policies.

create or replace function voice_worker.was_deleted(
    wanted_sid text, own_key uuid, named uuid
) returns boolean
language sql stable set search_path = '' as $$
    select exists (
        select from voice_worker.tombstones
        where room_sid = wanted_sid or call_id in (own_key, named)
    )
$$;
revoke all on function voice_worker.was_deleted(text, uuid, uuid) from public;

-- The row of a call that already stands for this job's call, or null.
-- 1. the row of this very room session, or made by this very job, 2. the row that the front end
-- named by callId, 3. the row whose session_id is the room's name; 2 and 3 only if no other room
-- session has claimed it and it did not end before our room was made, and never for a call whose
-- owner has deleted it: what is left of it must not land in the next call of the same name.
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
        and (ended_at is null or room_made is null or ended_at >= room_made);
    end if;
    return found_id;
end
$$;
revoke all on function voice_worker.find_call(text, uuid, uuid, text, timestamptz) from public;

-- Makes the call's row, or claims the one that is there. Returns its id; null if its owner has
-- deleted it.
create or replace function voice_worker.claim_call(c jsonb) returns uuid
language plpgsql set search_path = '' as $$
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
                own_key, names.session_id, names.room_name, sid, started, true,
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
            where id = target and (room_sid = sid or id = own_key) for no key update;
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
revoke all on function voice_worker.claim_call(jsonb) from public;

-- Connect and end of a call. The end is written only by the job that owns the row, and only to a
-- row that has not ended, or was swept; an ended one just learns the reason.
create or replace function voice_worker.progress_call(target uuid, c jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    connected constant timestamptz := (c ->> 'connected_at')::timestamptz;
begin
    if connected is not null then
        update public.voice_calls v set
            connected_at = coalesce(v.connected_at, connected),
            status = case when v.status = 'pending' then 'active' else v.status end
        where v.id = target and (v.connected_at is null or v.status = 'pending');
    end if;
    if c ->> 'ended_at' is not null then
        perform voice_worker.end_call(target, c);
    end if;
end
$$;
revoke all on function voice_worker.progress_call(uuid, jsonb) from public;

-- Legs that are open when their call has ended end with it; a leave told later still counts.
create or replace function voice_worker.close_legs(ids jsonb, calls jsonb) returns void
language sql set search_path = '' as $$
    update public.call_participants p set left_at = greatest(p.joined_at, v.ended_at)
    from jsonb_to_recordset(calls) as r (key text, job_id text)
    join public.voice_calls v on v.id = (ids ->> r.key)::uuid and v.job_id = r.job_id
    where p.call_id = v.id and p.left_at is null and v.ended_at is not null
$$;
revoke all on function voice_worker.close_legs(jsonb, jsonb) from public;

create or replace function voice_worker.end_call(target uuid, c jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    detail constant jsonb := coalesce(c -> 'end_detail', '{}');
begin
    update public.voice_calls v set
        status = (c ->> 'end_status')::public.call_status,
        ended_at = (c ->> 'ended_at')::timestamptz,
        end_reason = c ->> 'end_reason',
        metadata = case when detail = '{}' then v.metadata
            else coalesce(v.metadata, '{}') || jsonb_build_object('end', detail) end
    where v.id = target and v.job_id = c ->> 'job_id' and (
        v.status in ('pending', 'active')
        or (v.status = 'failed' and v.end_reason = 'worker_lost' and v.ended_at = v.swept_at)
    );
    update public.voice_calls v set end_reason = c ->> 'end_reason'
    where v.id = target and v.job_id = c ->> 'job_id' and v.end_reason is null
        and v.status in ('completed', 'failed');
end
$$;
revoke all on function voice_worker.end_call(uuid, jsonb) from public;

-- Beside user_exists, the only other thing the worker learns of a user.
create or replace function voice_worker.user_is_admin(candidate uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select from public.users where id = candidate and role::text = 'admin')
$$;
revoke all on function voice_worker.user_is_admin(uuid) from public;

create or replace function voice_worker.apply_legs(ids jsonb, legs jsonb) returns void
language sql set search_path = '' as $$
    insert into public.call_participants as p (
        id, call_id, user_id, participant_identity, participant_name, participant_type, kind,
        participant_sid, joined_at, left_at, disconnect_reason, is_muted, metadata, revision
    )
    select
        r.id, (ids ->> r.call)::uuid,
        case when voice_worker.user_exists(r.user_id) then r.user_id end,
        left(r.identity, 255), nullif(left(r.name, 255), ''),
        case when coalesce(r.participant_type, 'user') <> 'user' then r.participant_type
            when voice_worker.user_is_admin(r.user_id) then 'admin' else 'user' end,
        coalesce(r.kind, 'standard'), coalesce(r.sid, ''), r.joined_at, r.left_at,
        r.disconnect_reason, coalesce(r.is_muted, false),
        -- An id that is no user's (any more) is kept, never an error.
        case when r.user_id is null or voice_worker.user_exists(r.user_id)
            then coalesce(r.metadata, '{}')
            else coalesce(r.metadata, '{}') || jsonb_build_object('userId', r.user_id) end,
        r.revision
    from jsonb_to_recordset(legs) as r (
        id uuid, call text, user_id uuid, identity text, name text, participant_type text,
        kind text, sid text, joined_at timestamptz, left_at timestamptz, disconnect_reason text,
        is_muted boolean, metadata jsonb, revision bigint
    )
    where ids ->> r.call is not null
    on conflict (id) do update set
        user_id = excluded.user_id,
        participant_identity = excluded.participant_identity,
        participant_name = excluded.participant_name,
        participant_type = excluded.participant_type,
        kind = excluded.kind,
        participant_sid = excluded.participant_sid,
        joined_at = excluded.joined_at,
        left_at = excluded.left_at,
        disconnect_reason = excluded.disconnect_reason,
        is_muted = excluded.is_muted,
        metadata = excluded.metadata,
        closed_by_sweep = false,
        revision = excluded.revision
    where p.revision < excluded.revision
$$;
revoke all on function voice_worker.apply_legs(jsonb, jsonb) from public;

-- Numbers the messages of a batch at once, with their calls locked by apply_batch: looking for the
-- next number at each row, as the trigger for everybody else does, takes a third of the time.
create or replace function voice_worker.apply_messages(ids jsonb, messages jsonb) returns void
language sql set search_path = '' as $$
    with given as materialized (
        select (ids ->> r.call)::uuid as call_id, r.*
        from jsonb_to_recordset(messages) as r (
            id uuid, call text, role public.message_role, content text, at timestamptz, tokens int,
            model text, metadata jsonb, interrupted boolean, participant_identity text,
            speech_id text, speech_started_at timestamptz, speech_ended_at timestamptz,
            transcription_delay_ms int, end_of_turn_delay_ms int, llm_ttft_ms int, tts_ttfb_ms int,
            e2e_latency_ms int, revision bigint, place bigint
        )
        where ids ->> r.call is not null
    ),
    -- Numbers for those that are new; one that is there keeps its own.
    numbered as (
        select g.id, row_number() over (partition by g.call_id order by g.place) as nth
        from given g
        where not exists (select from public.voice_messages m where m.id = g.id)
    ),
    newest as (
        select c.call_id, (
            select coalesce(max(m.sequence_number), 0) from public.voice_messages m
            where m.call_id = c.call_id
        ) as number
        from (select distinct call_id from given) c
    )
    insert into public.voice_messages as m (
        id, call_id, role, content, timestamp, sequence_number, tokens_used, model_used, metadata,
        interrupted, participant_identity, speech_id, speech_started_at, speech_ended_at,
        transcription_delay_ms, end_of_turn_delay_ms, llm_ttft_ms, tts_ttfb_ms, e2e_latency_ms,
        audio_duration_ms, revision
    )
    select
        r.id, r.call_id, r.role, r.content, r.at, newest.number + numbered.nth,
        coalesce(r.tokens, 0), left(r.model, 100), coalesce(r.metadata, '{}'),
        coalesce(r.interrupted, false), left(r.participant_identity, 255), r.speech_id,
        r.speech_started_at, r.speech_ended_at, r.transcription_delay_ms, r.end_of_turn_delay_ms,
        r.llm_ttft_ms, r.tts_ttfb_ms, r.e2e_latency_ms,
        -- A clock that was set in mid-speech must not cost the turn.
        case when r.speech_ended_at is not null and r.speech_started_at is not null then least(
            2147483647,
            greatest(0, extract(epoch from r.speech_ended_at - r.speech_started_at) * 1000)
        )::int end,
        r.revision
    from given r
    join newest using (call_id)
    left join numbered using (id)
    order by r.place
    on conflict (id) do update set
        role = excluded.role,
        content = excluded.content,
        timestamp = excluded.timestamp,
        tokens_used = excluded.tokens_used,
        model_used = excluded.model_used,
        metadata = excluded.metadata,
        interrupted = excluded.interrupted,
        participant_identity = excluded.participant_identity,
        speech_id = excluded.speech_id,
        speech_started_at = excluded.speech_started_at,
        speech_ended_at = excluded.speech_ended_at,
        transcription_delay_ms = excluded.transcription_delay_ms,
        end_of_turn_delay_ms = excluded.end_of_turn_delay_ms,
        llm_ttft_ms = excluded.llm_ttft_ms,
        tts_ttfb_ms = excluded.tts_ttfb_ms,
        e2e_latency_ms = excluded.e2e_latency_ms,
        audio_duration_ms = excluded.audio_duration_ms,
        revision = excluded.revision
    where m.revision < excluded.revision
$$;
revoke all on function voice_worker.apply_messages(jsonb, jsonb) from public;

create or replace function voice_worker.apply_usage(ids jsonb, usage jsonb) returns void
language sql set search_path = '' as $$
    insert into public.voice_usage as u (
        id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
        cached_input_tokens, output_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
        duration_ms, ttft_ms, cancelled, estimated, created_at, metadata, revision
    )
    select
        r.id, (ids ->> r.call)::uuid,
        -- A message that was refused or deleted leaves its requests unattached.
        (select m.id from public.voice_messages m where m.id = r.message_id),
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
revoke all on function voice_worker.apply_usage(jsonb, jsonb) from public;

-- A call with a leg by phone says so in metadata.sip, without the numbers, which stand in the leg.
create or replace function voice_worker.note_phone_calls(ids jsonb, legs jsonb) returns void
language sql set search_path = '' as $$
    update public.voice_calls v
    set metadata = coalesce(v.metadata, '{}') || jsonb_build_object('sip', first.sip)
    from (
        select distinct on (p.call_id) p.call_id, jsonb_strip_nulls(jsonb_build_object(
            'callID', told.by ->> 'sip.callID',
            'trunkID', told.by ->> 'sip.trunkID',
            'ruleID', told.by ->> 'sip.ruleID'
        )) as sip
        from jsonb_to_recordset(legs) as r (call text, kind text)
        join public.call_participants p on p.call_id = (ids ->> r.call)::uuid and p.kind = r.kind
        cross join lateral (
            select coalesce(
                p.metadata -> 'changed' -> 'attributes', p.metadata -> 'attributes'
            ) as by
        ) told
        where r.kind = 'sip'
        order by p.call_id, p.joined_at, p.id
    ) first
    where v.id = first.call_id and v.metadata -> 'sip' is distinct from first.sip
$$;
revoke all on function voice_worker.note_phone_calls(jsonb, jsonb) from public;

-- Applies a batch: {"calls": [...], "legs": [...], "messages": [...], "usage": [...]}, each row with
-- "call" = the key of its call; what a row leaves out has its default. Returns
-- {"call_ids": {key: id}}, id null for a call whose owner has deleted it: its rows were discarded.
create or replace function voice_worker.apply_batch(batch jsonb) returns jsonb
language plpgsql set search_path = '' as $$
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
revoke all on function voice_worker.apply_batch(jsonb) from public;

grant execute on function
    voice_worker.was_deleted(text, uuid, uuid),
    voice_worker.find_call(text, uuid, uuid, text, timestamptz),
    voice_worker.claim_call(jsonb),
    voice_worker.progress_call(uuid, jsonb),
    voice_worker.end_call(uuid, jsonb),
    voice_worker.close_legs(jsonb, jsonb),
    voice_worker.user_is_admin(uuid),
    voice_worker.apply_legs(jsonb, jsonb),
    voice_worker.note_phone_calls(jsonb, jsonb),
    voice_worker.apply_messages(jsonb, jsonb),
    voice_worker.apply_usage(jsonb, jsonb),
    voice_worker.apply_batch(jsonb)
to voice_worker;

call voice_worker.schema_reached(60, 60);

-- migrate:down
