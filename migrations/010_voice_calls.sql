-- migrate:up
-- The basic schema: two tables and six indexes. It stands alone, for a first version of a front end;
-- the files that follow turn it, with its rows, into the enhanced one. Where either table is there
-- already, this changes nothing.
do $$
begin
    if to_regclass('public.voice_calls') is not null
        or to_regclass('public.call_participants') is not null
    then
        return;
    end if;
    create table public.voice_calls (
        id uuid primary key default gen_random_uuid(),
        room_name varchar not null,
        caller_id varchar not null,
        callee_id varchar,
        call_type varchar not null default 'support'
            check (call_type in ('support', 'user-to-user', 'conference')),
        status varchar not null default 'pending'
            check (status in ('pending', 'ringing', 'connected', 'completed', 'missed', 'failed')),
        started_at timestamptz default now(),
        connected_at timestamptz,
        ended_at timestamptz,
        duration_seconds int,
        recording_url text,
        transcript text,
        metadata jsonb default '{}',
        created_at timestamptz not null default now()
    );
    create index idx_voice_calls_caller on public.voice_calls (caller_id);
    create index idx_voice_calls_callee on public.voice_calls (callee_id);
    create index idx_voice_calls_status on public.voice_calls (status);
    create index idx_voice_calls_created on public.voice_calls (created_at desc);
    create table public.call_participants (
        id serial primary key,
        call_id uuid not null references public.voice_calls (id) on delete cascade,
        user_id varchar not null,
        participant_name varchar,
        joined_at timestamptz not null default now(),
        left_at timestamptz,
        duration_seconds int,
        is_muted boolean default false,
        unique (call_id, user_id)
    );
    create index idx_call_participants_call on public.call_participants (call_id);
    create index idx_call_participants_user on public.call_participants (user_id);
end
$$;

-- migrate:down
