-- migrate:up
create table if not exists public.voice_messages (
    id uuid primary key default voice_worker.uuid_v7(),
    call_id uuid not null references public.voice_calls (id) on delete cascade,
    role public.message_role not null,
    content text not null,
    audio_url text,
    audio_duration_ms int,
    timestamp timestamptz not null default now(),
    sequence_number int,
    tokens_used int default 0,
    model_used varchar(100),
    metadata jsonb default '{}',
    interrupted boolean not null default false,
    participant_identity varchar(255),
    speech_id text,
    speech_started_at timestamptz,
    speech_ended_at timestamptz,
    transcription_delay_ms int,
    end_of_turn_delay_ms int,
    llm_ttft_ms int,
    tts_ttfb_ms int,
    e2e_latency_ms int,
    revision bigint not null default 0
);

comment on column public.voice_messages.tokens_used is
    'Language-model tokens of the requests that led to this turn';
comment on column public.voice_messages.participant_identity is 'Who spoke; null: unknown';
comment on column public.voice_messages.revision is
    'Newest recorded version of this row; older ones change nothing';

-- role is included so that counting a call's messages by role reads the index alone.
create unique index if not exists idx_voice_messages_call_sequence
    on public.voice_messages (call_id, sequence_number) include (role);

do $$
begin
    if not exists (
        select from pg_constraint
        where conrelid = 'public.voice_usage'::regclass
        and conname = 'voice_usage_message_id_fkey'
    ) then
        alter table public.voice_usage add constraint voice_usage_message_id_fkey
            foreign key (message_id) references public.voice_messages (id) on delete set null;
    end if;
end
$$;

call voice_worker.schema_reached(23, 20);

-- migrate:down
