-- migrate:up
-- Schemas, types, and all tables with their constraints and indexes, as they are today. What exists is
-- left as it is, but for columns, checks and indexes that an earlier version did not have. Roles,
-- functions, triggers, views, policies and grants are in db/routines.
--
-- Whatever is here takes no lock where there is nothing to do, and gives up after 2 s where there is,
-- rather than have everybody queue behind a long query: it can be run again.
do $$
begin
    perform set_config('lock_timeout', '2s', true);
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

-- The worker's own tables, and what policies and views ask: nobody may use either by name.
create schema if not exists voice_worker;
create schema if not exists voice_access;

create table if not exists voice_worker.schema_version (
    only_row boolean primary key default true check (only_row),
    version int not null,
    oldest_worker int not null,
    updated_at timestamptz not null default now(),
    routines text
);

-- The team's own where there is one.
do $$
declare
    role text;
begin
    if to_regclass('public.users') is not null then
        return;
    end if;
    create table public.users (
        id uuid primary key default gen_random_uuid(),
        name varchar(255),
        email varchar(255) unique,
        role varchar(50) not null default 'user'
    );
    alter table public.users enable row level security;
    -- Supabase's default privileges; what is meant is in db/routines/access/users.sql.
    for role in
        select quote_ident(rolname) from pg_roles where rolname in ('anon', 'authenticated')
    loop
        execute format('revoke all on public.users from %s', role);
    end loop;
end
$$;

-- The ids of the four tables have no default here: db/routines/access/ids.sql sets it.
create table if not exists public.voice_calls (
    id uuid primary key,
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
    cost numeric(20, 10),
    -- No foreign key: with a second one to users, PostgREST would refuse `select=*,users(...)`.
    callee_id uuid,
    made_by text not null default current_user,
    usage_gaps text[],
    unpriced_requests int not null default 0,
    transcript_digest text
) with (fillfactor = 85);  -- totals change with every turn: room for updates within the page

-- One row for each request to a model. Made before voice_messages so that the delete of a call
-- removes these rows first, instead of first detaching each from its message.
create table if not exists public.voice_usage (
    id uuid primary key,
    call_id uuid not null references public.voice_calls (id) on delete cascade,
    message_id uuid,
    kind text not null
        constraint voice_usage_kind_check check (kind ~ '^[a-z][a-z0-9_]{0,31}$'),
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
    revision bigint not null default 0,
    cache_creation_tokens int not null default 0,
    input_audio_tokens int not null default 0,
    cached_audio_tokens int not null default 0,
    output_audio_tokens int not null default 0,
    error text,
    price_ids bigint[]
);

create table if not exists public.voice_messages (
    id uuid primary key,
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
    revision bigint not null default 0,
    generated_content text,
    turn_completed_delay_ms int,
    first_sentence_ms int,
    playout_delay_ms int
) with (fillfactor = 90);  -- a turn is told again within seconds: room for that within the page

-- One row for each join (leg): who leaves and comes back has two.
create table if not exists public.call_participants (
    id uuid primary key,
    call_id uuid not null references public.voice_calls (id) on delete cascade,
    user_id uuid references public.users (id) on delete set null,
    participant_identity varchar(255) not null,
    participant_name varchar(255),
    participant_type varchar(50) default 'user'
        constraint call_participants_participant_type_check
        check (participant_type in ('user', 'agent', 'admin')),
    joined_at timestamptz not null default now(),
    left_at timestamptz,
    duration_seconds int,
    is_muted boolean default false,
    metadata jsonb default '{}',
    participant_sid text,
    kind text not null default 'standard'
        constraint call_participants_kind_check
        check (kind in ('standard', 'sip', 'agent', 'egress', 'ingress', 'connector')),
    disconnect_reason text,
    closed_by_sweep boolean not null default false,
    revision bigint not null default 0,
    direction text
        constraint call_participants_direction_check check (direction in ('inbound', 'outbound')),
    answered_at timestamptz
);

-- What requests cost. A price is for one unit of one model from a day on; the newest that is valid
-- on the day of a request (UTC) counts. The team's to edit: what it adds or changes is never overwritten.
create table if not exists public.model_prices (
    id bigint generated by default as identity primary key,
    provider text not null,
    model text not null,
    unit text not null constraint model_prices_unit_check check (unit in (
        'input_token', 'cached_input_token', 'cache_creation_token', 'output_token',
        'input_audio_token', 'cached_audio_token', 'output_audio_token',
        'character', 'audio_second', 'session_second', 'request'
    )),
    price numeric not null constraint model_prices_price_check check (price >= 0),
    per int not null default 1 constraint model_prices_per_check check (per > 0),
    currency text not null default 'USD',
    valid_from date not null,
    source text,
    source_date date,
    created_at timestamptz not null default now(),
    constraint model_prices_key unique (provider, model, unit, valid_from)
);

-- A model's prices on a day (voice_worker.rates_of).
do $$
begin
    if to_regtype('voice_worker.rates') is null then
        create type voice_worker.rates as (
            input numeric, cached_input numeric, cache_creation numeric, output numeric,
            input_audio numeric, cached_audio numeric, output_audio numeric,
            character numeric, audio_second numeric, session_second numeric, request numeric,
            ids bigint[]
        );
    end if;
end
$$;

-- Who ships an outbox directory, and when it was heard of last.
create table if not exists voice_worker.workers (
    id uuid primary key,
    hostname text not null,
    pid int not null,
    version text,
    agent_name text,
    livekit_worker_id text,
    started_at timestamptz not null default now(),
    heartbeat_at timestamptz not null default now(),
    kind text not null default 'worker',
    lost_after interval not null default '60 s',
    unbroken_since timestamptz not null default now(),
    stopped_at timestamptz,
    lost_at timestamptz,
    swept_calls int not null default 0,
    shipped_by uuid,
    backlog_events bigint not null default 0,
    backlog_bytes bigint not null default 0,
    backlog_seconds float8 not null default 0,
    refused_events bigint not null default 0
) with (fillfactor = 50);  -- a row changes every few seconds: room for updates within the page

-- Events that Postgres would never take, as they stood in their file, with what a retry needs.
create table if not exists voice_worker.refused_events (
    source text not null,
    byte_offset bigint not null,
    call_id uuid,
    job_id text,
    raw bytea not null,
    sqlstate text,
    error text,
    refused_at timestamptz not null default now(),
    call_key uuid,
    header jsonb,
    primary key (source, byte_offset)
);

-- Calls deleted by their owner: what still arrives for them is discarded.
create table if not exists voice_worker.tombstones (
    call_id uuid primary key,
    room_sid text,
    deleted_at timestamptz not null default now()
);

-- Turns and legs that somebody has deleted while their call stayed. Of which call it is not known for
-- those from before version 94.
create table if not exists voice_worker.deleted_rows (
    id uuid primary key,
    deleted_at timestamptz not null default now(),
    call_id uuid
);

-- What the models used, summed by quarter of an hour and model: a month is answered from some
-- thousand rows instead of a million (voice_worker.add_usage_totals).
create table if not exists voice_worker.usage_totals (
    quarter_hour timestamptz not null,
    kind text not null,
    provider text,
    model text,
    -- Workers that write at the same time add to different rows instead of waiting for each other.
    slot smallint not null,
    requests bigint not null,
    input_tokens bigint not null,
    cached_input_tokens bigint not null,
    output_tokens bigint not null,
    total_tokens bigint not null,
    audio_ms bigint not null,
    characters bigint not null,
    cost numeric not null,
    unpriced_requests bigint not null,
    constraint usage_totals_key
        unique nulls not distinct (quarter_hour, kind, provider, model, slot)
) with (fillfactor = 70);

-- Latencies of turns, summed in the same way: each number is a histogram (voice_access.latency_mark).
create table if not exists voice_worker.latency_totals (
    quarter_hour timestamptz not null,
    model text,
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

-- Columns that tables of an earlier version, or made by hand, lack.
do $$
declare
    missing record;
begin
    for missing in
        select c.home, string_agg(
            format('add column %I %s', c.name, c.definition), ', ' order by c.place
        ) as columns
        from (values
            (1, 'public.voice_calls', 'callee_id', 'uuid'),
            (2, 'public.voice_calls', 'made_by', 'text not null default current_user'),
            (3, 'public.voice_calls', 'usage_gaps', 'text[]'),
            (4, 'public.voice_calls', 'unpriced_requests', 'int not null default 0'),
            (5, 'public.voice_calls', 'transcript_digest', 'text'),
            (1, 'public.voice_usage', 'cache_creation_tokens', 'int not null default 0'),
            (2, 'public.voice_usage', 'input_audio_tokens', 'int not null default 0'),
            (3, 'public.voice_usage', 'cached_audio_tokens', 'int not null default 0'),
            (4, 'public.voice_usage', 'output_audio_tokens', 'int not null default 0'),
            (5, 'public.voice_usage', 'error', 'text'),
            (6, 'public.voice_usage', 'price_ids', 'bigint[]'),
            (1, 'public.voice_messages', 'generated_content', 'text'),
            (2, 'public.voice_messages', 'turn_completed_delay_ms', 'int'),
            (3, 'public.voice_messages', 'first_sentence_ms', 'int'),
            (4, 'public.voice_messages', 'playout_delay_ms', 'int'),
            (1, 'public.call_participants', 'direction', 'text'),
            (2, 'public.call_participants', 'answered_at', 'timestamptz'),
            (1, 'voice_worker.workers', 'kind', $d$text not null default 'worker'$d$),
            (2, 'voice_worker.workers', 'lost_after', $d$interval not null default '60 s'$d$),
            (3, 'voice_worker.workers', 'unbroken_since', 'timestamptz not null default now()'),
            (4, 'voice_worker.workers', 'stopped_at', 'timestamptz'),
            (5, 'voice_worker.workers', 'lost_at', 'timestamptz'),
            (6, 'voice_worker.workers', 'swept_calls', 'int not null default 0'),
            (7, 'voice_worker.workers', 'shipped_by', 'uuid'),
            (8, 'voice_worker.workers', 'backlog_events', 'bigint not null default 0'),
            (9, 'voice_worker.workers', 'backlog_bytes', 'bigint not null default 0'),
            (10, 'voice_worker.workers', 'backlog_seconds', 'float8 not null default 0'),
            (11, 'voice_worker.workers', 'refused_events', 'bigint not null default 0'),
            (1, 'voice_worker.refused_events', 'call_key', 'uuid'),
            (2, 'voice_worker.refused_events', 'header', 'jsonb'),
            (1, 'voice_worker.deleted_rows', 'call_id', 'uuid'),
            (1, 'voice_worker.schema_version', 'routines', 'text')
        ) c (place, home, name, definition)
        where not exists (
            select from pg_attribute a
            where a.attrelid = c.home::regclass and a.attname = c.name and not a.attisdropped
        )
        group by c.home
    loop
        perform set_config('lock_timeout', '2s', true);
        execute format('alter table %s %s', missing.home, missing.columns);
    end loop;
end
$$;

-- Constraints that stand in no "create table" above, or stood there otherwise.
do $$
declare
    given record;
begin
    perform set_config('lock_timeout', '2s', true);
    if not exists (
        select from pg_constraint
        where conrelid = 'public.voice_usage'::regclass and conname = 'voice_usage_message_id_fkey'
    ) then
        alter table public.voice_usage add constraint voice_usage_message_id_fkey
            foreign key (message_id) references public.voice_messages (id) on delete set null;
    end if;
    -- Any kind of model; the rows that are there need no look, the old rule was narrower.
    if (
        select pg_get_constraintdef(oid) from pg_constraint
        where conrelid = 'public.voice_usage'::regclass and conname = 'voice_usage_kind_check'
    ) not like '%~%' then
        alter table public.voice_usage
            drop constraint voice_usage_kind_check,
            add constraint voice_usage_kind_check
                check (kind ~ '^[a-z][a-z0-9_]{0,31}$') not valid;
    end if;
    if not exists (
        select from pg_constraint where conrelid = 'public.call_participants'::regclass
            and conname = 'call_participants_direction_check'
    ) then
        alter table public.call_participants add constraint call_participants_direction_check
            check (direction in ('inbound', 'outbound')) not valid;
    end if;
    -- A user may write times of his call, message or leg. One beyond what clients can hold, such as the
    -- year 20000 or infinity, would break every list it is in, of Python's clients for one: no row of
    -- the worker's can have it. 102 looks at rows from before.
    for given in
        select * from (values
            ('voice_calls', array['started_at', 'connected_at', 'ended_at', 'created_at']),
            ('voice_messages', array['timestamp']),
            ('call_participants', array['joined_at', 'left_at'])
        ) t (home, columns)
        where not exists (
            select from pg_constraint where conname = t.home || '_times_check'
            and conrelid = ('public.' || t.home)::regclass
        )
    loop
        execute format(
            'alter table public.%I add constraint %I check (%s) not valid',
            given.home, given.home || '_times_check', (
                select string_agg(format(
                    '(%I >= ''0001-01-01 00:00+00'' and %I < ''9999-12-31 00:00+00'')', c, c
                ), ' and ') from unnest(given.columns) c
            )
        );
    end loop;
end
$$;

-- Indexes. One by one and only where it is missing: "if not exists" would wait for writers all the same.
do $$
declare
    missing text;
begin
    perform set_config('lock_timeout', '2s', true);
    if (
        select a.amname from pg_class c join pg_am a on a.oid = c.relam
        where c.oid = to_regclass('public.idx_voice_usage_created_at')
    ) = 'btree' then
        drop index public.idx_voice_usage_created_at;  -- the totals answer what it was for
    end if;
    for missing in
        select i.definition from (values
            ('public.idx_voice_calls_room_sid', 'create unique index idx_voice_calls_room_sid
                on public.voice_calls (room_sid) where room_sid is not null'),
            ('public.idx_voice_calls_user_id', 'create index idx_voice_calls_user_id
                on public.voice_calls (user_id, created_at desc) where user_id is not null'),
            ('public.idx_voice_calls_callee', 'create index idx_voice_calls_callee
                on public.voice_calls (callee_id) where callee_id is not null'),
            ('public.idx_voice_calls_active', 'create index idx_voice_calls_active
                on public.voice_calls (status, created_at) where status in (''pending'', ''active'')'),
            ('public.idx_voice_calls_created_at', 'create index idx_voice_calls_created_at
                on public.voice_calls (created_at desc) include (status, duration_seconds)'),
            ('public.idx_voice_usage_call_id', 'create index idx_voice_usage_call_id
                on public.voice_usage (call_id)'),
            ('public.idx_voice_usage_message_id', 'create index idx_voice_usage_message_id
                on public.voice_usage (message_id) where message_id is not null'),
            -- Single requests of an hour or a day are found by their place: they are written in the
            -- order of time.
            ('public.idx_voice_usage_created_at', 'create index idx_voice_usage_created_at
                on public.voice_usage using brin (created_at)
                with (pages_per_range = 16, autosummarize = on)'),
            -- role is included so that counting a call's messages by role reads the index alone.
            ('public.idx_voice_messages_call_sequence',
                'create unique index idx_voice_messages_call_sequence
                on public.voice_messages (call_id, sequence_number) include (role)'),
            ('public.idx_call_participants_call_id', 'create index idx_call_participants_call_id
                on public.call_participants (call_id)'),
            ('public.idx_call_participants_user_id', 'create index idx_call_participants_user_id
                on public.call_participants (user_id) where user_id is not null'),
            ('public.idx_call_participants_open', 'create index idx_call_participants_open
                on public.call_participants (call_id) where left_at is null'),
            ('voice_worker.tombstones_room_sid', 'create unique index tombstones_room_sid
                on voice_worker.tombstones (room_sid) where room_sid is not null'),
            ('voice_worker.deleted_rows_call', 'create index deleted_rows_call
                on voice_worker.deleted_rows (call_id)')
        ) i (name, definition)
        where to_regclass(i.name) is null
    loop
        execute missing;
    end loop;
    for missing in
        select format('alter table %s set (fillfactor = %s)', t.name, t.fillfactor)
        from (values ('voice_worker.workers', 50), ('public.voice_messages', 90)) t (name, fillfactor)
        where (select reloptions from pg_class where oid = t.name::regclass) is null
    loop
        execute missing;
    end loop;
end
$$;

-- migrate:down
