-- migrate:up
-- One row for each request to a model. Made before voice_messages so that the delete of a call
-- removes these rows first, instead of first detaching each from its message.
create table if not exists public.voice_usage (
    id uuid primary key default voice_worker.uuid_v7(),
    call_id uuid not null references public.voice_calls (id) on delete cascade,
    message_id uuid,
    kind text not null
        constraint voice_usage_kind_check check (kind in ('llm', 'stt', 'tts', 'realtime')),
    provider text,
    model text,
    request_id text,
    speech_id text,
    input_tokens int not null default 0,
    cached_input_tokens int not null default 0,
    output_tokens int not null default 0,
    reasoning_tokens int not null default 0,
    total_tokens int not null default 0,
    audio_ms int,
    characters int,
    duration_ms int,
    ttft_ms int,
    cancelled boolean not null default false,
    estimated boolean not null default false,
    cost numeric(20, 10),
    created_at timestamptz not null default now(),
    metadata jsonb not null default '{}',
    revision bigint not null default 0
);

comment on column public.voice_usage.message_id is 'Null: the request led to no message';
comment on column public.voice_usage.ttft_ms is 'Time to the first token or the first audio';
comment on column public.voice_usage.estimated is 'The provider told no figures';
comment on column public.voice_usage.cost is 'Null: the price is unknown';
comment on column public.voice_usage.revision is
    'Newest recorded version of this row; older ones change nothing';

create index if not exists idx_voice_usage_call_id on public.voice_usage (call_id);
create index if not exists idx_voice_usage_message_id
    on public.voice_usage (message_id) where message_id is not null;
create index if not exists idx_voice_usage_created_at
    on public.voice_usage (created_at) include (model, total_tokens, cost);

call voice_worker.schema_reached(22, 20);

-- migrate:down
