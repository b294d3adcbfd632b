-- Counts voice_worker.latency_totals anew from all turns: needed only after rows were loaded, or a
-- table emptied, without triggers.
--
-- Locks: voice_messages against writers, until the transaction ends; latency_totals against everybody.
-- Called by: the owner.
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
