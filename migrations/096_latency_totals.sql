-- migrate:up
-- Latencies of turns, summed by quarter of an hour and model: a month is answered from some thousand
-- rows instead of a million. Kept by adding each statement's rows, so it always equals
-- voice_messages.
--
-- A histogram is one number, so that adding numbers adds histograms: twelve decimal digits for each
-- bucket. Bucket 0 counts what cannot be true; bucket b counts from 1.04 ^ (b - 1) ms to 1.04 ^ b,
-- so that a percentile is told within 2 % and, as it is rounded, a millisecond.
create table if not exists voice_worker.latency_totals (
    quarter_hour timestamptz not null,
    model text,
    -- Workers that write at the same time add to different rows instead of waiting for each other.
    slot smallint not null,
    transcription numeric not null,
    end_of_turn numeric not null,
    turn_completed numeric not null,
    first_token numeric not null,
    first_sentence numeric not null,
    first_audio numeric not null,
    playout numeric not null,
    end_to_end numeric not null,
    constraint latency_totals_key unique nulls not distinct (quarter_hour, model, slot)
) with (fillfactor = 70);

-- The histogram of one latency: of none 0.
create or replace function voice_access.latency_mark(ms int, implausible jsonb) returns numeric
language sql immutable parallel safe
return case
    when ms is not null then (
        '1e' || (12 * (1 + floor(ln(greatest(ms, 1)::double precision) / ln(1.04::double precision))))
            ::int::text
    )::numeric
    when implausible is not null then 1
    else 0
end;

-- What a histogram tells: of each percentile the middle of the bucket that it falls into.
create or replace function voice_access.latency_percentiles(histogram numeric) returns table (
    turns bigint,
    implausible bigint,
    p50_ms double precision,
    p95_ms double precision,
    p99_ms double precision
)
language sql immutable parallel safe
begin atomic
    select
        coalesce(max(b.whole), 0)::bigint,
        coalesce(sum(b.n) filter (where b.bucket = 0), 0)::bigint,
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.50 * b.whole)),
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.95 * b.whole)),
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.99 * b.whole))
    from (
        select
            c.bucket, c.n,
            sum(c.n) filter (where c.bucket > 0) over (order by c.bucket) as upto,
            sum(c.n) filter (where c.bucket > 0) over () as whole
        from (
            select
                g.bucket,
                convert_from(substring(
                    d.digits from length(d.digits) - 12 * g.bucket - 11 for 12
                ), 'SQL_ASCII')::bigint as n
            from (
                -- As bytes, once: a letter of a text is found by walking to it.
                select convert_to(repeat('0', 11) || histogram::text, 'SQL_ASCII') as digits
                offset 0
            ) d
            cross join lateral generate_series(0, length(d.digits) / 12 - 1) as g (bucket)
        ) c
        where c.n > 0
    ) b;
end;
revoke all on function
    voice_access.latency_mark(int, jsonb), voice_access.latency_percentiles(numeric)
from public;
grant execute on function
    voice_access.latency_mark(int, jsonb), voice_access.latency_percentiles(numeric)
to authenticated, service_role, voice_reader;

-- Adds the rows "changed", -1 times as an argument says.
create or replace function voice_worker.add_latency_totals() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    slots constant int := 8;
    sign constant int := tg_argv[0];
begin
    insert into voice_worker.latency_totals as t
    select
        date_bin('15 minutes', m.timestamp, 'epoch') as quarter_hour, m.model_used,
        pg_backend_pid() % slots,
        sign * sum(voice_access.latency_mark(m.transcription_delay_ms, w -> 'transcription_delay_ms')),
        sign * sum(voice_access.latency_mark(m.end_of_turn_delay_ms, w -> 'end_of_turn_delay_ms')),
        sign * sum(voice_access.latency_mark(m.turn_completed_delay_ms, w -> 'turn_completed_delay_ms')),
        sign * sum(voice_access.latency_mark(m.llm_ttft_ms, w -> 'llm_ttft_ms')),
        sign * sum(voice_access.latency_mark(m.first_sentence_ms, w -> 'first_sentence_ms')),
        sign * sum(voice_access.latency_mark(m.tts_ttfb_ms, w -> 'tts_ttfb_ms')),
        sign * sum(voice_access.latency_mark(m.playout_delay_ms, w -> 'playout_delay_ms')),
        sign * sum(voice_access.latency_mark(m.e2e_latency_ms, w -> 'e2e_latency_ms'))
    from changed m
    cross join lateral (select m.metadata -> 'implausible') as i (w)
    where m.role in ('user', 'assistant') and (
        w is not null
        or num_nonnulls(
            m.transcription_delay_ms, m.end_of_turn_delay_ms, m.turn_completed_delay_ms,
            m.llm_ttft_ms, m.first_sentence_ms, m.tts_ttfb_ms, m.playout_delay_ms, m.e2e_latency_ms
        ) > 0
    )
    group by 1, 2
    order by 1, 2  -- one order of locks for all
    on conflict (quarter_hour, model, slot) do update set
        transcription = t.transcription + excluded.transcription,
        end_of_turn = t.end_of_turn + excluded.end_of_turn,
        turn_completed = t.turn_completed + excluded.turn_completed,
        first_token = t.first_token + excluded.first_token,
        first_sentence = t.first_sentence + excluded.first_sentence,
        first_audio = t.first_audio + excluded.first_audio,
        playout = t.playout + excluded.playout,
        end_to_end = t.end_to_end + excluded.end_to_end;
    return null;
end
$$;
revoke all on function voice_worker.add_latency_totals() from public;

-- Sums everything again: at the migration, and after rows were loaded or truncated without triggers.
-- Writers of voice_messages wait for its end.
create or replace procedure voice_worker.recount_latency()
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    lock table public.voice_messages in share row exclusive mode;
    truncate voice_worker.latency_totals;
    insert into voice_worker.latency_totals
    select
        date_bin('15 minutes', m.timestamp, 'epoch'), m.model_used, 0,
        sum(voice_access.latency_mark(m.transcription_delay_ms, w -> 'transcription_delay_ms')),
        sum(voice_access.latency_mark(m.end_of_turn_delay_ms, w -> 'end_of_turn_delay_ms')),
        sum(voice_access.latency_mark(m.turn_completed_delay_ms, w -> 'turn_completed_delay_ms')),
        sum(voice_access.latency_mark(m.llm_ttft_ms, w -> 'llm_ttft_ms')),
        sum(voice_access.latency_mark(m.first_sentence_ms, w -> 'first_sentence_ms')),
        sum(voice_access.latency_mark(m.tts_ttfb_ms, w -> 'tts_ttfb_ms')),
        sum(voice_access.latency_mark(m.playout_delay_ms, w -> 'playout_delay_ms')),
        sum(voice_access.latency_mark(m.e2e_latency_ms, w -> 'e2e_latency_ms'))
    from public.voice_messages m
    cross join lateral (select m.metadata -> 'implausible') as i (w)
    where m.role in ('user', 'assistant') and (
        w is not null
        or num_nonnulls(
            m.transcription_delay_ms, m.end_of_turn_delay_ms, m.turn_completed_delay_ms,
            m.llm_ttft_ms, m.first_sentence_ms, m.tts_ttfb_ms, m.playout_delay_ms, m.e2e_latency_ms
        ) > 0
    )
    group by 1, 2;
end
$$;
revoke all on procedure voice_worker.recount_latency() from public;

-- Triggers and first sum in one transaction: nothing is counted twice or missed between them.
do $$
begin
    if exists (
        select from pg_trigger
        where tgrelid = 'public.voice_messages'::regclass
            and tgname = 'voice_messages_latency_trigger'
    ) then
        return;
    end if;
    create trigger voice_messages_latency_trigger
        after insert on public.voice_messages referencing new table as changed
        for each statement execute function voice_worker.add_latency_totals('1');
    create trigger voice_messages_latency_delete_trigger
        after delete on public.voice_messages referencing old table as changed
        for each statement execute function voice_worker.add_latency_totals('-1');
    -- An update takes back the old rows and adds the new ones.
    create trigger voice_messages_latency_update_old_trigger
        after update on public.voice_messages referencing old table as changed
        for each statement execute function voice_worker.add_latency_totals('-1');
    create trigger voice_messages_latency_update_new_trigger
        after update on public.voice_messages referencing new table as changed
        for each statement execute function voice_worker.add_latency_totals('1');
    call voice_worker.recount_latency();
end
$$;

-- Out of reach by name: only latency_statistics reads it for them.
alter table voice_worker.latency_totals enable row level security;
drop policy if exists latency_totals_admin_select on voice_worker.latency_totals;
create policy latency_totals_admin_select on voice_worker.latency_totals for select to authenticated
    using ((select voice_access.is_admin()));
drop policy if exists latency_totals_reader_select on voice_worker.latency_totals;
create policy latency_totals_reader_select on voice_worker.latency_totals for select to voice_reader
    using (true);
grant select on voice_worker.latency_totals to authenticated, service_role, voice_reader;

call voice_worker.schema_reached(96, 60);

-- migrate:down
