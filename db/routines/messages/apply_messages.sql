-- Stores the messages of a batch: new ones, and newer revisions of those that are there. All of a
-- batch are numbered at once: to look for the next number at each row, as the trigger does for
-- everybody else, takes a third of the time.
--
-- ids: {key: id of the call}; messages of a call without an id are left out. messages: those of the
-- batch, with "place" for their order.
-- Locks: the messages that change. Their calls must be locked already (apply_batch does it): nobody
-- else may count to the same numbers. Called by: voice_worker.
create or replace function voice_worker.apply_messages(ids jsonb, messages jsonb) returns void
language sql set search_path = pg_catalog, pg_temp
-- A plan that was made while the table was small, or unknown, stays with the session.
set enable_seqscan = off as $$
    with given as materialized (
        select (ids ->> r.call)::uuid as call_id, r.*
        from jsonb_to_recordset(messages) as r (
            id uuid, call text, role public.message_role, content text, at timestamptz, tokens int,
            model text, metadata jsonb, interrupted boolean, participant_identity text,
            speech_id text, speech_started_at timestamptz, speech_ended_at timestamptz,
            transcription_delay_ms int, end_of_turn_delay_ms int, llm_ttft_ms int, tts_ttfb_ms int,
            e2e_latency_ms int, generated_content text, audio_duration_ms int,
            turn_completed_delay_ms int, first_sentence_ms int, playout_delay_ms int, revision bigint,
            place bigint
        )
        where ids ->> r.call is not null
    ),
    -- Numbers for those that are new; one that is there keeps its own.
    numbered as (
        select g.id, row_number() over (partition by g.call_id order by g.place) as nth
        from given g
        -- One by one, by the index: joined, a plan may read the whole of a table that has grown since.
        where (select m.id from public.voice_messages m where m.id = g.id) is null
    ),
    newest as materialized (
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
        audio_duration_ms, generated_content, turn_completed_delay_ms, first_sentence_ms,
        playout_delay_ms, revision
    )
    select
        r.id, r.call_id, r.role, r.content, r.at, newest.number + numbered.nth,
        coalesce(r.tokens, 0), left(r.model, 100), coalesce(r.metadata, '{}'),
        coalesce(r.interrupted, false), left(r.participant_identity, 255), r.speech_id,
        r.speech_started_at, r.speech_ended_at, r.transcription_delay_ms, r.end_of_turn_delay_ms,
        r.llm_ttft_ms, r.tts_ttfb_ms, r.e2e_latency_ms,
        -- A clock that was set in mid-speech must not cost the turn.
        coalesce(
            r.audio_duration_ms,
            case when r.speech_ended_at is not null and r.speech_started_at is not null then least(
                2147483647,
                greatest(0, extract(epoch from r.speech_ended_at - r.speech_started_at) * 1000)
            )::int end
        ),
        r.generated_content, r.turn_completed_delay_ms, r.first_sentence_ms, r.playout_delay_ms,
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
        generated_content = excluded.generated_content,
        turn_completed_delay_ms = excluded.turn_completed_delay_ms,
        first_sentence_ms = excluded.first_sentence_ms,
        playout_delay_ms = excluded.playout_delay_ms,
        revision = excluded.revision
    where m.revision < excluded.revision
$$;

revoke all on function voice_worker.apply_messages(jsonb, jsonb) from public;
grant execute on function voice_worker.apply_messages(jsonb, jsonb) to voice_worker;
