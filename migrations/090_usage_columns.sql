-- migrate:up
-- What the ledger tells of a request and a turn: kinds of tokens, failures, each step's latency, and
-- the words that were made but not heard.
alter table public.voice_usage
    add column if not exists cache_creation_tokens int not null default 0,
    add column if not exists input_audio_tokens int not null default 0,
    add column if not exists cached_audio_tokens int not null default 0,
    add column if not exists output_audio_tokens int not null default 0,
    add column if not exists error text,
    add column if not exists price_ids bigint[];
alter table public.voice_messages
    add column if not exists generated_content text,
    add column if not exists turn_completed_delay_ms int,
    add column if not exists first_sentence_ms int,
    add column if not exists playout_delay_ms int;
alter table public.voice_calls
    add column if not exists usage_gaps text[];

-- Any kind of model; the rows that are there need no look, the old rule was narrower.
do $$
begin
    if (
        select pg_get_constraintdef(oid) from pg_constraint
        where conrelid = 'public.voice_usage'::regclass and conname = 'voice_usage_kind_check'
    ) not like '%~%' then
        alter table public.voice_usage
            drop constraint voice_usage_kind_check,
            add constraint voice_usage_kind_check
                check (kind ~ '^[a-z][a-z0-9_]{0,31}$') not valid;
    end if;
end
$$;

comment on column public.voice_usage.input_tokens is
    'Cached, cache-creation and audio tokens are among them';
comment on column public.voice_usage.output_tokens is 'Reasoning and audio tokens are among them';
comment on column public.voice_usage.cached_audio_tokens is 'Among the cached and the audio tokens';
comment on column public.voice_usage.error is 'Class of the failure; null: none';
comment on column public.voice_usage.estimated is
    'The provider told no figures: these are estimates, or what was known when the worker died';
comment on column public.voice_usage.price_ids is 'The prices that cost was computed with';
comment on column public.voice_messages.content is
    'What was said: of a reply that was cut, what was heard of it';
comment on column public.voice_messages.generated_content is
    'All that the model wrote for the turn; null: nothing beyond content';
comment on column public.voice_messages.transcription_delay_ms is
    'End of speech to its final transcript';
comment on column public.voice_messages.end_of_turn_delay_ms is
    'End of speech to the decision that the turn is over';
comment on column public.voice_messages.turn_completed_delay_ms is
    'Time in the agent''s on_user_turn_completed';
comment on column public.voice_messages.llm_ttft_ms is 'Request to the first token';
comment on column public.voice_messages.first_sentence_ms is 'Request to the first whole sentence';
comment on column public.voice_messages.tts_ttfb_ms is 'First text to the first audio of it';
comment on column public.voice_messages.playout_delay_ms is
    'First audio to the first sound that is played';
comment on column public.voice_messages.e2e_latency_ms is
    'End of the caller''s speech to the agent''s first sound';
comment on column public.voice_calls.usage_gaps is
    'Why usage_complete is false: models that told nothing, one line each';

-- As in 060, and: the columns above.
create or replace function voice_worker.apply_messages(ids jsonb, messages jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
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

-- As in 066, and: the columns above.
create or replace function voice_worker.apply_usage(ids jsonb, usage jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into public.voice_usage as u (
        id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
        cached_input_tokens, output_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
        duration_ms, ttft_ms, cancelled, estimated, created_at, metadata, cache_creation_tokens,
        input_audio_tokens, cached_audio_tokens, output_audio_tokens, error, revision
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
        coalesce(r.estimated, false), r.at, coalesce(r.metadata, '{}'),
        coalesce(r.cache_creation_tokens, 0), coalesce(r.input_audio_tokens, 0),
        coalesce(r.cached_audio_tokens, 0), coalesce(r.output_audio_tokens, 0), r.error, r.revision
    from jsonb_to_recordset(usage) as r (
        id uuid, call text, message_id uuid, kind text, provider text, model text, request_id text,
        speech_id text, input_tokens int, cached_input_tokens int, output_tokens int,
        reasoning_tokens int, total_tokens int, audio_ms int, characters int, duration_ms int,
        ttft_ms int, cancelled boolean, estimated boolean, at timestamptz, metadata jsonb,
        cache_creation_tokens int, input_audio_tokens int, cached_audio_tokens int,
        output_audio_tokens int, error text, revision bigint
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
        cache_creation_tokens = excluded.cache_creation_tokens,
        input_audio_tokens = excluded.input_audio_tokens,
        cached_audio_tokens = excluded.cached_audio_tokens,
        output_audio_tokens = excluded.output_audio_tokens,
        error = excluded.error,
        revision = excluded.revision
    where u.revision < excluded.revision
$$;
revoke all on function voice_worker.apply_usage(jsonb, jsonb) from public;

-- What the job's own end says of its ledger; of a job that died nothing is said.
create or replace function voice_worker.close_ledger(target uuid, c jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.voice_calls v set
        usage_complete = (c ->> 'usage_complete')::boolean,
        usage_gaps = (
            select array_agg(gap order by place)
            from jsonb_array_elements_text(c -> 'usage_gaps') with ordinality as g (gap, place)
        )
    where v.id = target and v.job_id = c ->> 'job_id' and c ->> 'usage_complete' is not null
$$;
revoke all on function voice_worker.close_ledger(uuid, jsonb) from public;
grant execute on function voice_worker.close_ledger(uuid, jsonb) to voice_worker;

-- As in 060, and: the ledger's end.
create or replace function voice_worker.progress_call(target uuid, c jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
        perform voice_worker.close_ledger(target, c);
    end if;
end
$$;
revoke all on function voice_worker.progress_call(uuid, jsonb) from public;

call voice_worker.schema_reached(90, 60);

-- migrate:down
