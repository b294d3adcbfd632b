-- migrate:up
-- One row for each join (leg): who leaves and comes back has two.
create table if not exists public.call_participants (
    id uuid primary key default voice_worker.uuid_v7(),
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
    revision bigint not null default 0
);

comment on column public.call_participants.kind is 'Kind of the LiveKit participant';
comment on column public.call_participants.closed_by_sweep is
    'left_at was set because the worker was lost; reopened if it comes back';
comment on column public.call_participants.revision is
    'Newest recorded version of this row; older ones change nothing';

create index if not exists idx_call_participants_call_id on public.call_participants (call_id);
create index if not exists idx_call_participants_user_id
    on public.call_participants (user_id) where user_id is not null;

call voice_worker.schema_reached(24, 20);

-- migrate:down
