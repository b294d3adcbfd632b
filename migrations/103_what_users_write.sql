-- migrate:up
-- Limits for users who write rows themselves, and a table for what deleted calls have consumed.
do $$
begin
    perform set_config('lock_timeout', '2s', true);
    if not exists (
        select from pg_attribute
        where attrelid = 'public.voice_messages'::regclass and attname = 'author_id'
    ) then
        -- No foreign key: PostgREST would find two ways from messages to users.
        alter table public.voice_messages add column author_id uuid;
    end if;
end
$$;

-- What each user has written in a minute (voice_worker.count_user_write).
create table if not exists voice_worker.user_writes (
    user_id uuid not null,
    minute timestamptz not null,
    rows bigint not null,
    bytes bigint not null,
    primary key (user_id, minute)
) with (fillfactor = 50);  -- a row changes with every statement of its user

-- What a user may write in a minute, and how many calls of his may be open; the team's to change.
create table if not exists voice_worker.user_limits (
    only_row boolean primary key default true check (only_row),
    rows_per_minute bigint not null default 600,
    bytes_per_minute bigint not null default 4194304,
    open_calls bigint not null default 100
);
insert into voice_worker.user_limits default values on conflict do nothing;

-- Requests of deleted calls, without anything that leads to a call or a person: what was consumed
-- stays counted.
create table if not exists voice_worker.deleted_usage (
    id uuid primary key,
    kind text not null,
    provider text,
    model text,
    input_tokens int not null,
    cached_input_tokens int not null,
    output_tokens int not null,
    total_tokens int not null,
    audio_ms int,
    characters int,
    cost numeric(20, 10),
    created_at timestamptz not null,
    revision bigint not null
);

do $$
declare
    missing text;
begin
    perform set_config('lock_timeout', '2s', true);
    -- For who prunes them.
    for missing in
        select i.definition from (values
            ('voice_worker.tombstones_deleted_at',
                'create index tombstones_deleted_at on voice_worker.tombstones (deleted_at)'),
            ('voice_worker.deleted_rows_deleted_at',
                'create index deleted_rows_deleted_at on voice_worker.deleted_rows (deleted_at)')
        ) i (name, definition)
        where to_regclass(i.name) is null
    loop
        execute missing;
    end loop;
    -- They have no primary key. A publication FOR ALL TABLES would refuse each update of them (55000),
    -- and no batch could be stored.
    for missing in
        select format('alter table %s replica identity full', c.oid::regclass) from pg_class c
        where c.oid in (
            'voice_worker.usage_totals'::regclass, 'voice_worker.latency_totals'::regclass
        ) and c.relreplident <> 'f'
    loop
        execute missing;
    end loop;
end
$$;

-- migrate:down
