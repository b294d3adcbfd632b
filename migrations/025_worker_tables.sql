-- migrate:up
create table if not exists voice_worker.workers (
    id uuid primary key,
    hostname text not null,
    pid int not null,
    version text,
    agent_name text,
    livekit_worker_id text,
    started_at timestamptz not null default now(),
    heartbeat_at timestamptz not null default now()
);

-- Events that Postgres would never take, as they stood in their file.
create table if not exists voice_worker.refused_events (
    source text not null,
    byte_offset bigint not null,
    call_id uuid,
    job_id text,
    raw bytea not null,
    sqlstate text,
    error text,
    refused_at timestamptz not null default now(),
    primary key (source, byte_offset)
);

-- Calls deleted by their owner: what still arrives for them is discarded.
create table if not exists voice_worker.tombstones (
    call_id uuid primary key,
    room_sid text,
    deleted_at timestamptz not null default now()
);
create unique index if not exists tombstones_room_sid
    on voice_worker.tombstones (room_sid) where room_sid is not null;

call voice_worker.schema_reached(25, 20);

-- migrate:down
