-- Keeps voice_worker.latency_totals, the latencies of turns by quarter of an hour and model, equal to
-- the worker's voice_messages, by adding each statement's rows.
--
-- Trigger after each statement, with the transition table "changed"; the argument is 1 to add the
-- rows, -1 to take them away. An update takes the old rows away and adds the new ones.
-- With the owner's rights. Locks: the totals it adds to, in one order for all; eight rows (slots) for
-- each quarter and model, so that workers seldom wait for each other. Nobody calls it.
-- When the triggers are new, all turns that are there are counted in the same transaction: nothing is
-- counted twice or missed. Writers of voice_messages wait for that.
create or replace function voice_worker.add_latency_totals() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    slots constant int := 8;
    sign constant int := tg_argv[0];
begin
    -- An upsert calls the triggers of both insert and update.
    if not exists (select from changed) then
        return null;
    end if;
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
    -- What others than the worker write is nobody's measurement.
    where m.role in ('user', 'assistant') and m.revision > 0 and (
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

do $$
declare
    new constant boolean := not exists (
        select from pg_trigger
        where tgrelid = 'public.voice_messages'::regclass and tgname = 'voice_messages_latency_trigger'
    );
begin
    create or replace trigger voice_messages_latency_trigger
        after insert on public.voice_messages referencing new table as changed
        for each statement execute function voice_worker.add_latency_totals('1');
    create or replace trigger voice_messages_latency_delete_trigger
        after delete on public.voice_messages referencing old table as changed
        for each statement execute function voice_worker.add_latency_totals('-1');
    create or replace trigger voice_messages_latency_update_old_trigger
        after update on public.voice_messages referencing old table as changed
        for each statement execute function voice_worker.add_latency_totals('-1');
    create or replace trigger voice_messages_latency_update_new_trigger
        after update on public.voice_messages referencing new table as changed
        for each statement execute function voice_worker.add_latency_totals('1');
    if new then
        call voice_worker.recount_latency();
    end if;
end
$$;
