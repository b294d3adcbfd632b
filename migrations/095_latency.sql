-- migrate:up
-- Where the time of a turn went, over many calls: a row for each step, by period and model. The steps
-- of hearing (transcription, end_of_turn, turn_completed) are by the model that heard, the others by
-- the one that answered. What cannot be true is left out when it is recorded.
grant select (generated_content, turn_completed_delay_ms, first_sentence_ms, playout_delay_ms)
    on public.voice_messages to service_role;
grant select (turn_completed_delay_ms, first_sentence_ms, playout_delay_ms)
    on public.voice_messages to voice_reader;
grant select (
    cache_creation_tokens, input_audio_tokens, cached_audio_tokens, output_audio_tokens, error,
    price_ids
) on public.voice_usage to voice_reader;
grant select (usage_gaps) on public.voice_calls to voice_reader;
grant select on public.turn_costs, public.model_prices to voice_reader;
drop policy if exists model_prices_reader_select on public.model_prices;
create policy model_prices_reader_select on public.model_prices for select to voice_reader
    using (true);

create or replace function public.latency_statistics(
    since date,
    until date,
    unit text default 'day',
    time_zone text default 'UTC',
    of_user uuid default null
) returns table (
    period date,
    model text,
    step text,
    turns bigint,
    p50_ms double precision,
    p95_ms double precision,
    p99_ms double precision
)
language sql stable
begin atomic
    select
        voice_access.period_of(m.created_at, unit, time_zone), m.model_used::text, s.step, count(*),
        percentile_cont(0.5) within group (order by s.ms),
        percentile_cont(0.95) within group (order by s.ms),
        percentile_cont(0.99) within group (order by s.ms)
    from (
        select v.id, v.created_at
        from public.voice_calls v
        where (select voice_access.whose_figures(of_user)) is null
            and v.created_at >= since::timestamp at time zone time_zone
            and v.created_at < until::timestamp at time zone time_zone
        union all
        select v.id, v.created_at
        from public.voice_calls v
        where v.user_id = (select voice_access.whose_figures(of_user))
            and v.created_at >= since::timestamp at time zone time_zone
            and v.created_at < until::timestamp at time zone time_zone
    ) c
    cross join lateral (
        select
            c.created_at, t.model_used, t.transcription_delay_ms, t.end_of_turn_delay_ms,
            t.turn_completed_delay_ms, t.llm_ttft_ms, t.first_sentence_ms, t.tts_ttfb_ms,
            t.playout_delay_ms, t.e2e_latency_ms
        from public.voice_messages t
        where t.call_id = c.id and t.role in ('user', 'assistant')
    ) m
    cross join lateral (values
        ('transcription', m.transcription_delay_ms),
        ('end_of_turn', m.end_of_turn_delay_ms),
        ('turn_completed', m.turn_completed_delay_ms),
        ('first_token', m.llm_ttft_ms),
        ('first_sentence', m.first_sentence_ms),
        ('first_audio', m.tts_ttfb_ms),
        ('playout', m.playout_delay_ms),
        ('end_to_end', m.e2e_latency_ms)
    ) as s (step, ms)
    where s.ms is not null
    group by 1, 2, 3
    order by 1, 2, 3;
end;
comment on function public.latency_statistics(date, date, text, text, uuid) is
    'Percentiles of the steps from a caller''s last word to the answer''s first sound';
revoke all on function public.latency_statistics(date, date, text, text, uuid) from public, anon;
grant execute on function public.latency_statistics(date, date, text, text, uuid)
    to authenticated, service_role, voice_reader;

call voice_worker.schema_reached(95, 60);

-- migrate:down
