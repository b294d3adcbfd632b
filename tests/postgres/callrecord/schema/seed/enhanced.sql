-- The enhanced schema as somebody applied it by hand from the file that this project began with,
-- rebuilt from its documented interface and its known faults (docs/schema.md). It expects users.
create type call_status as enum ('pending', 'active', 'completed', 'failed');
create type message_role as enum ('user', 'assistant', 'system');

create table voice_calls (
    id uuid primary key default gen_random_uuid(),
    user_id uuid references users (id) on delete set null,
    session_id varchar(255) unique not null,
    room_name varchar(255) not null,
    status call_status default 'pending',
    started_at timestamptz,
    connected_at timestamptz,
    ended_at timestamptz,
    duration_seconds integer,
    recording_url text,
    transcript text,
    ai_agent_used boolean default false,
    agent_identity varchar(255),
    metadata jsonb default '{}',
    total_tokens_used integer default 0,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table voice_messages (
    id uuid primary key default gen_random_uuid(),
    call_id uuid not null references voice_calls (id) on delete cascade,
    role message_role not null,
    content text not null,
    audio_url text,
    audio_duration_ms integer,
    timestamp timestamptz default now(),
    sequence_number integer,
    tokens_used integer default 0,
    model_used varchar(100),
    metadata jsonb default '{}'
);
create table call_participants (
    id uuid primary key default gen_random_uuid(),
    call_id uuid not null references voice_calls (id) on delete cascade,
    user_id uuid references users (id) on delete set null,
    participant_identity varchar(255) not null,
    participant_name varchar(255),
    participant_type varchar(50) default 'user',
    joined_at timestamptz default now(),
    left_at timestamptz,
    duration_seconds integer,
    is_muted boolean default false,
    metadata jsonb default '{}',
    unique (call_id, participant_identity)
);

create index idx_voice_calls_user_id on voice_calls (user_id) where user_id is not null;
create index idx_voice_calls_session_id on voice_calls (session_id);
create index idx_voice_calls_status on voice_calls (status);
create index idx_voice_calls_created_at on voice_calls (created_at desc);
create index idx_voice_calls_active on voice_calls (status) where status = 'active';
create index idx_voice_calls_ai_agent on voice_calls (ai_agent_used) where ai_agent_used;
create index idx_voice_messages_call_id on voice_messages (call_id);
create index idx_voice_messages_call_sequence on voice_messages (call_id, sequence_number);
create index idx_voice_messages_timestamp on voice_messages (timestamp desc);
create index idx_voice_messages_role on voice_messages (role);
create index idx_call_participants_call_id on call_participants (call_id);
create index idx_call_participants_user_id on call_participants (user_id)
    where user_id is not null;
create index idx_call_participants_identity on call_participants (participant_identity);

create function update_voice_calls_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at = now();
    return new;
end
$$;
create trigger voice_calls_updated_at_trigger before update on voice_calls
    for each row execute function update_voice_calls_updated_at();

create function calculate_voice_call_duration() returns trigger language plpgsql as $$
begin
    if new.ended_at is not null and old.ended_at is null and new.connected_at is not null then
        new.duration_seconds = extract(epoch from (new.ended_at - new.connected_at))::integer;
    end if;
    return new;
end
$$;
create trigger voice_calls_calculate_duration_trigger before update on voice_calls
    for each row execute function calculate_voice_call_duration();

create function calculate_participant_duration() returns trigger language plpgsql as $$
begin
    if new.left_at is not null and old.left_at is null then
        new.duration_seconds = extract(epoch from (new.left_at - new.joined_at))::integer;
    end if;
    return new;
end
$$;
create trigger call_participants_calculate_duration_trigger before update on call_participants
    for each row execute function calculate_participant_duration();

create function update_call_tokens() returns trigger language plpgsql as $$
begin
    if new.tokens_used > 0 then
        update voice_calls set total_tokens_used = (
            select coalesce(sum(tokens_used), 0) from voice_messages where call_id = new.call_id
        ) where id = new.call_id;
    end if;
    return new;
end
$$;
create trigger voice_messages_update_tokens_trigger after insert or update on voice_messages
    for each row execute function update_call_tokens();

create view active_calls_summary as
select vc.id, vc.session_id, vc.room_name, vc.user_id, u.name as user_name, u.email as user_email,
    vc.status, vc.started_at, vc.ai_agent_used, count(cp.id) as participant_count,
    array_agg(cp.participant_name) as participants
from voice_calls vc
left join users u on vc.user_id = u.id
left join call_participants cp on vc.id = cp.call_id and cp.left_at is null
where vc.status = 'active'
group by vc.id, u.name, u.email;
create view call_analytics as
select vc.id, vc.session_id, vc.user_id, vc.status, vc.duration_seconds, vc.ai_agent_used,
    vc.total_tokens_used, count(vm.id) as message_count,
    count(vm.id) filter (where vm.role = 'user') as user_message_count,
    count(vm.id) filter (where vm.role = 'assistant') as assistant_message_count,
    vc.created_at, vc.ended_at
from voice_calls vc left join voice_messages vm on vc.id = vm.call_id
group by vc.id;

alter table voice_calls enable row level security;
alter table voice_messages enable row level security;
alter table call_participants enable row level security;
create policy voice_calls_select_own on voice_calls for select using (
    user_id = auth.uid() or exists (
        select 1 from call_participants cp where cp.call_id = voice_calls.id and cp.user_id = auth.uid()
    )
);
create policy voice_calls_insert_own on voice_calls for insert with check (user_id = auth.uid());
create policy voice_calls_update_own on voice_calls for update using (user_id = auth.uid());
create policy voice_calls_admin_all on voice_calls for all using (
    exists (select 1 from users where users.id = auth.uid() and users.role = 'admin')
);
create policy voice_messages_select_own on voice_messages for select using (
    exists (select 1 from voice_calls vc where vc.id = voice_messages.call_id and (
        vc.user_id = auth.uid() or exists (
            select 1 from call_participants cp where cp.call_id = vc.id and cp.user_id = auth.uid()
        )
    ))
);
create policy voice_messages_insert_own on voice_messages for insert with check (
    exists (
        select 1 from voice_calls vc
        where vc.id = voice_messages.call_id and vc.user_id = auth.uid()
    )
);
create policy voice_messages_admin_all on voice_messages for all using (
    exists (select 1 from users where users.id = auth.uid() and users.role = 'admin')
);
create policy call_participants_select_own on call_participants for select using (
    user_id = auth.uid() or exists (
        select 1 from voice_calls vc
        where vc.id = call_participants.call_id and vc.user_id = auth.uid()
    )
);
create policy call_participants_insert_own on call_participants for insert
    with check (user_id = auth.uid());
create policy call_participants_admin_all on call_participants for all using (
    exists (select 1 from users where users.id = auth.uid() and users.role = 'admin')
);
