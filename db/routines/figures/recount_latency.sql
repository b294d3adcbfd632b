-- Makes voice_worker.latency_totals equal to the turns that the worker wrote: needed after rows were
-- loaded, or a table emptied, without triggers, or with both triggers and totals.
--
-- It adds what is missing, in one snapshot, as recount_usage does: right beside any load.
-- Locks: none that a writer waits for; a second recount waits. Called by: the owner.
create or replace procedure voice_worker.recount_latency()
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(hashtext('voice_worker'), hashtext('recount_latency'));
    insert into voice_worker.latency_totals as t
    select
        d.quarter_hour, d.model, -1, sum(d.transcription), sum(d.end_of_turn),
        sum(d.turn_completed), sum(d.first_token), sum(d.first_sentence), sum(d.first_audio),
        sum(d.playout), sum(d.end_to_end)
    from (
        select
            date_bin('15 minutes', m.timestamp, 'epoch') as quarter_hour, m.model_used as model,
            sum(voice_access.latency_mark(m.transcription_delay_ms, w -> 'transcription_delay_ms'))
                as transcription,
            sum(voice_access.latency_mark(m.end_of_turn_delay_ms, w -> 'end_of_turn_delay_ms'))
                as end_of_turn,
            sum(voice_access.latency_mark(
                m.turn_completed_delay_ms, w -> 'turn_completed_delay_ms'
            )) as turn_completed,
            sum(voice_access.latency_mark(m.llm_ttft_ms, w -> 'llm_ttft_ms')) as first_token,
            sum(voice_access.latency_mark(m.first_sentence_ms, w -> 'first_sentence_ms'))
                as first_sentence,
            sum(voice_access.latency_mark(m.tts_ttfb_ms, w -> 'tts_ttfb_ms')) as first_audio,
            sum(voice_access.latency_mark(m.playout_delay_ms, w -> 'playout_delay_ms')) as playout,
            sum(voice_access.latency_mark(m.e2e_latency_ms, w -> 'e2e_latency_ms')) as end_to_end
        from public.voice_messages m
        cross join lateral (select m.metadata -> 'implausible') as i (w)
        where m.role in ('user', 'assistant') and m.revision > 0 and (
            w is not null
            or num_nonnulls(
                m.transcription_delay_ms, m.end_of_turn_delay_ms, m.turn_completed_delay_ms,
                m.llm_ttft_ms, m.first_sentence_ms, m.tts_ttfb_ms, m.playout_delay_ms,
                m.e2e_latency_ms
            ) > 0
        )
        group by 1, 2
        union all
        select
            quarter_hour, model, -transcription, -end_of_turn, -turn_completed, -first_token,
            -first_sentence, -first_audio, -playout, -end_to_end
        from voice_worker.latency_totals
    ) d
    group by 1, 2
    having (
        sum(d.transcription), sum(d.end_of_turn), sum(d.turn_completed), sum(d.first_token),
        sum(d.first_sentence), sum(d.first_audio), sum(d.playout), sum(d.end_to_end)
    ) <> (0, 0, 0, 0, 0, 0, 0, 0)
    order by 1, 2  -- so that a span's rows lie together
    on conflict (quarter_hour, model, slot) do update set
        transcription = t.transcription + excluded.transcription,
        end_of_turn = t.end_of_turn + excluded.end_of_turn,
        turn_completed = t.turn_completed + excluded.turn_completed,
        first_token = t.first_token + excluded.first_token,
        first_sentence = t.first_sentence + excluded.first_sentence,
        first_audio = t.first_audio + excluded.first_audio,
        playout = t.playout + excluded.playout,
        end_to_end = t.end_to_end + excluded.end_to_end;
end
$$;

revoke all on procedure voice_worker.recount_latency() from public;
