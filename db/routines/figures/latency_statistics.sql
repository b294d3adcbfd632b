-- Where the time of turns went, for each step from the caller's last word to the first sound. The
-- steps of hearing (transcription, end_of_turn, turn_completed) are by the model that heard, the
-- others by the one that answered.
--
-- since, until: days; until is not included. unit: day, week, month, quarter or year. time_zone: in
-- which a day begins. of_user: whose calls, null for everybody's.
-- Locks: none. Result: a row for each period, model and step, with percentiles: everybody's within 2 %,
-- a user's exactly. implausible counts what cannot be true, among everybody's only: of a user's it
-- stands in metadata, which a reader of figures cannot read.
-- Everybody's figures come from latency_totals, a user's from the messages of his calls. With the
-- caller's rights, bound when it is made ("begin atomic"). Called by: authenticated, service_role,
-- voice_reader.
-- A form of before version 97 returns other columns, and has to go first.
do $$
begin
    if pg_get_function_result(
        to_regprocedure('public.latency_statistics(date, date, text, text, uuid)')
    ) not like '%implausible%' then
        drop function public.latency_statistics(date, date, text, text, uuid);
    end if;
end
$$;
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
    p99_ms double precision,
    implausible bigint
)
language sql stable
begin atomic
    select l.period, l.model, s.step, p.turns, p.p50_ms, p.p95_ms, p.p99_ms, p.implausible
    from (
        select
            voice_access.period_of(t.quarter_hour, unit, time_zone) as period, t.model,
            sum(t.transcription) as transcription, sum(t.end_of_turn) as end_of_turn,
            sum(t.turn_completed) as turn_completed, sum(t.first_token) as first_token,
            sum(t.first_sentence) as first_sentence, sum(t.first_audio) as first_audio,
            sum(t.playout) as playout, sum(t.end_to_end) as end_to_end
        from voice_worker.latency_totals t
        where (select voice_access.whose_figures(of_user)) is null
            and t.quarter_hour >= since::timestamp at time zone time_zone
            and t.quarter_hour < until::timestamp at time zone time_zone
        group by 1, 2
    ) l
    cross join lateral (values
        ('transcription', l.transcription),
        ('end_of_turn', l.end_of_turn),
        ('turn_completed', l.turn_completed),
        ('first_token', l.first_token),
        ('first_sentence', l.first_sentence),
        ('first_audio', l.first_audio),
        ('playout', l.playout),
        ('end_to_end', l.end_to_end)
    ) as s (step, histogram)
    cross join lateral voice_access.latency_percentiles(s.histogram) p
    where s.histogram > 0
    union all
    select
        u.period, u.model, u.step, u.turns, u.marks[1]::double precision,
        u.marks[2]::double precision, u.marks[3]::double precision, null::bigint
    from (
        select
            voice_access.period_of(m.timestamp, unit, time_zone) as period, m.model_used as model,
            s.step, count(*) as turns,
            percentile_disc('{0.5, 0.95, 0.99}'::double precision[])
                within group (order by s.ms) as marks
        from public.voice_calls v
        join public.voice_messages m on m.call_id = v.id
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
        where v.user_id = (select voice_access.whose_figures(of_user))
            -- A turn is not said before its call, nor a day after its end.
            and v.created_at < until::timestamp at time zone time_zone
            and coalesce(v.ended_at, 'infinity')
                >= since::timestamp at time zone time_zone - interval '1 day'
            -- By the day, so that each call's few turns are looked at, not an index of time.
            and (m.timestamp at time zone time_zone)::date >= since
            and (m.timestamp at time zone time_zone)::date < until
            and m.role in ('user', 'assistant') and m.revision > 0 and s.ms is not null
        group by 1, 2, 3
    ) u
    order by 1, 2, 3;
end;

comment on function public.latency_statistics(date, date, text, text, uuid) is
    'Percentiles of the steps from a caller''s last word to the first sound, of all within 2 %';
revoke all on function public.latency_statistics(date, date, text, text, uuid) from public, anon;
grant execute on function public.latency_statistics(date, date, text, text, uuid)
    to authenticated, service_role, voice_reader;
