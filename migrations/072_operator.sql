-- migrate:up
-- What who runs this looks at: sizes and use of indexes, and a role for dashboards.
-- In the private schema, because they are no user's business and PostgREST would offer them.
create or replace view voice_worker.table_sizes as
select
    s.schemaname || '.' || s.relname as table_name,
    s.n_live_tup as estimated_rows,
    s.n_dead_tup as dead_rows,
    pg_table_size(s.relid) as table_bytes,
    pg_indexes_size(s.relid) as index_bytes,
    pg_total_relation_size(s.relid) as total_bytes,
    greatest(s.last_vacuum, s.last_autovacuum) as vacuumed_at
from pg_stat_user_tables s
where s.schemaname = 'voice_worker' or s.relid in (
    'public.voice_calls'::regclass, 'public.voice_messages'::regclass,
    'public.call_participants'::regclass, 'public.voice_usage'::regclass
);

create or replace view voice_worker.index_usage as
select
    s.schemaname || '.' || s.relname as table_name,
    s.indexrelname as index_name,
    s.idx_scan as scans,
    s.idx_tup_read as entries_read,
    pg_relation_size(s.indexrelid) as bytes,
    i.indisunique as keeps_rows_unique,
    d.stats_reset as counted_since
from pg_stat_user_indexes s
join pg_index i on i.indexrelid = s.indexrelid
join pg_stat_database d on d.datname = current_database()
where s.schemaname = 'voice_worker' or s.relid in (
    'public.voice_calls'::regclass, 'public.voice_messages'::regclass,
    'public.call_participants'::regclass, 'public.voice_usage'::regclass
);
comment on column voice_worker.index_usage.counted_since is 'Null: since the database was made';

-- A dashboard's login is granted this role: it reads all figures, and nothing that was said or that
-- names a person.
do $$
begin
    if to_regrole('voice_reader') is null then
        create role voice_reader nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;  -- roles belong to the cluster: another database's migration was quicker
end
$$;
grant usage on schema public, voice_worker to voice_reader;
grant select (
    id, user_id, callee_id, session_id, status, started_at, connected_at, ended_at,
    duration_seconds, ai_agent_used, agent_identity, total_tokens_used, created_at, updated_at,
    room_sid, job_id, job_started_at, worker_id, end_reason, swept_at, usage_complete, cost, made_by
) on public.voice_calls to voice_reader;
grant select (
    id, call_id, role, audio_duration_ms, timestamp, sequence_number, tokens_used, model_used,
    interrupted, speech_id, speech_started_at, speech_ended_at, transcription_delay_ms,
    end_of_turn_delay_ms, llm_ttft_ms, tts_ttfb_ms, e2e_latency_ms
) on public.voice_messages to voice_reader;
grant select (
    id, call_id, user_id, participant_type, joined_at, left_at, duration_seconds, is_muted,
    participant_sid, kind, disconnect_reason, closed_by_sweep
) on public.call_participants to voice_reader;
grant select (
    id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
    cached_input_tokens, output_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
    duration_ms, ttft_ms, cancelled, estimated, cost, created_at, revision
) on public.voice_usage to voice_reader;
grant select on
    public.call_analytics, voice_worker.usage_totals, voice_worker.table_sizes,
    voice_worker.index_usage, voice_worker.workers
to voice_reader;
grant execute on function
    voice_access.whose_figures(uuid),
    voice_access.period_of(timestamptz, text, text),
    voice_access.visible_user(uuid),
    public.call_statistics(date, date, text, text, uuid),
    public.usage_statistics(date, date, text, text, uuid),
    public.user_statistics(date, date, text, int)
to voice_reader;

drop policy if exists voice_calls_reader_select on public.voice_calls;
create policy voice_calls_reader_select on public.voice_calls for select to voice_reader
    using (true);
drop policy if exists voice_messages_reader_select on public.voice_messages;
create policy voice_messages_reader_select on public.voice_messages for select to voice_reader
    using (true);
drop policy if exists call_participants_reader_select on public.call_participants;
create policy call_participants_reader_select on public.call_participants for select
    to voice_reader using (true);
drop policy if exists voice_usage_reader_select on public.voice_usage;
create policy voice_usage_reader_select on public.voice_usage for select to voice_reader
    using (true);
drop policy if exists usage_totals_reader_select on voice_worker.usage_totals;
create policy usage_totals_reader_select on voice_worker.usage_totals for select to voice_reader
    using (true);

call voice_worker.schema_reached(72, 60);

-- migrate:down
