-- migrate:up
do $$
begin
    if to_regclass('public.voice_calls') is not null and not exists (
        select from pg_attribute
        where attrelid = to_regclass('public.voice_calls') and attname = 'session_id'
    ) then
        raise exception 'public.voice_calls is of the basic schema (no column session_id)'
            using hint = 'It has to be upgraded first; nothing was changed.';
    end if;
    if to_regtype('public.call_status') is null then
        create type public.call_status as enum ('pending', 'active', 'completed', 'failed');
    end if;
    if to_regtype('public.message_role') is null then
        create type public.message_role as enum ('user', 'assistant', 'system');
    end if;
end
$$;

-- Time-ordered ids: neighbours in time are neighbours in the index, and the tables can later be
-- partitioned by RANGE (id). The same function on every version, although 18 has its own.
create or replace function voice_worker.uuid_v7() returns uuid
language sql volatile parallel safe as $$
    select encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    placing substring(
                        int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3
                    )
                    from 1 for 6
                ),
                52, 1
            ),
            53, 1
        ),
        'hex'
    )::uuid
$$;
revoke all on function voice_worker.uuid_v7() from public;

create table if not exists public.voice_calls (
    id uuid primary key default voice_worker.uuid_v7(),
    user_id uuid references public.users (id) on delete set null,
    session_id varchar(255) not null constraint idx_voice_calls_session_id unique,
    room_name varchar(255) not null,
    status public.call_status not null default 'pending',
    started_at timestamptz,
    connected_at timestamptz,
    ended_at timestamptz,
    duration_seconds int,
    recording_url text,
    transcript text,
    ai_agent_used boolean default false,
    agent_identity varchar(255),
    metadata jsonb default '{}',
    total_tokens_used int not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    room_sid text,
    job_id text,
    job_started_at timestamptz,
    worker_id uuid,
    end_reason text,
    swept_at timestamptz,
    usage_complete boolean not null default false,
    cost numeric(20, 10)
) with (fillfactor = 85);  -- totals change with every turn: room for updates within the page

comment on column public.voice_calls.session_id is
    'Name of the LiveKit room, or name@room_sid when the name was taken';
comment on column public.voice_calls.room_name is 'Name for people';
comment on column public.voice_calls.room_sid is 'One LiveKit room session is one call';
comment on column public.voice_calls.total_tokens_used is
    'Tokens of the messages plus those of model requests that belong to no message';
comment on column public.voice_calls.usage_complete is
    'False until every model request of the call is recorded';
comment on column public.voice_calls.cost is 'Sum over voice_usage; null: unknown';

create unique index if not exists idx_voice_calls_room_sid
    on public.voice_calls (room_sid) where room_sid is not null;
create index if not exists idx_voice_calls_user_id
    on public.voice_calls (user_id, created_at desc) where user_id is not null;
create index if not exists idx_voice_calls_active
    on public.voice_calls (status, created_at) where status in ('pending', 'active');
create index if not exists idx_voice_calls_created_at
    on public.voice_calls (created_at desc) include (status, duration_seconds);

call voice_worker.schema_reached(21, 20);

-- migrate:down
