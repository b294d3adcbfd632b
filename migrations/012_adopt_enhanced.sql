-- migrate:up
-- A database in which the enhanced schema was made by hand, from the file that this project began
-- with: its tables stay where they are and get what ours have, so that 100 finds them as if it had
-- made them. Its faults (docs/schema.md) end here or with the routines' triggers, policies and views;
-- 102 recounts totals and durations. Everywhere else this changes nothing.
do $$
declare
    role text;
    home regclass;
begin
    if to_regclass('public.voice_calls') is null or exists (
        select from pg_attribute
        where attrelid = to_regclass('public.voice_calls') and attname = 'room_sid'
    ) then
        return;
    end if;
    perform set_config('lock_timeout', '2s', true);
    lock table public.voice_calls in access exclusive mode;
    create schema if not exists voice_before;
    revoke all on schema voice_before from public;
    -- That 102 has something to do here.
    create table voice_before.adopted ();
    -- Whose triggers will be replaced: the routines drop the functions that nothing uses then.
    create table if not exists voice_before.functions as
    select distinct t.tgfoid as function
    from pg_trigger t join pg_proc p on p.oid = t.tgfoid
    where not t.tgisinternal and p.pronamespace = 'public'::regnamespace and t.tgname in (
        'voice_calls_updated_at_trigger', 'voice_calls_calculate_duration_trigger',
        'call_participants_calculate_duration_trigger', 'voice_messages_update_tokens_trigger'
    );
    -- They run with their owner's rights: whoever is signed in reads everybody's calls through them.
    drop view if exists public.active_calls_summary, public.call_analytics;
    -- Rights to single columns too, which the routines would leave alone.
    for role in
        select quote_ident(rolname) from pg_roles where rolname in ('anon', 'authenticated')
        union all select 'public'
    loop
        for home in
            select oid::regclass from pg_class where oid in (
                to_regclass('public.voice_calls'), to_regclass('public.voice_messages'),
                to_regclass('public.call_participants')
            )
        loop
            execute format('revoke all on %s from %s', home, role);
        end loop;
    end loop;
    -- Those that only repeat a unique one, or that ours replace under the same name.
    drop index if exists
        public.idx_voice_calls_user_id, public.idx_voice_calls_status,
        public.idx_voice_calls_created_at, public.idx_voice_calls_active,
        public.idx_voice_calls_ai_agent, public.idx_voice_messages_call_id,
        public.idx_voice_messages_call_sequence, public.idx_voice_messages_timestamp,
        public.idx_voice_messages_role, public.idx_call_participants_call_id,
        public.idx_call_participants_user_id, public.idx_call_participants_identity;

    alter table public.voice_calls
        add column if not exists room_sid text,
        add column if not exists job_id text,
        add column if not exists job_started_at timestamptz,
        add column if not exists worker_id uuid,
        add column if not exists end_reason text,
        add column if not exists swept_at timestamptz,
        add column if not exists usage_complete boolean not null default false,
        add column if not exists cost numeric(20, 10);
    alter table public.voice_calls set (fillfactor = 85);
    update public.voice_calls set
        total_tokens_used = coalesce(total_tokens_used, 0),
        created_at = coalesce(created_at, started_at, now()),
        updated_at = coalesce(updated_at, ended_at, created_at, now()),
        status = coalesce(status, 'pending')
    where total_tokens_used is null or created_at is null or updated_at is null or status is null;
    alter table public.voice_calls
        alter column status set not null,
        alter column status set default 'pending',
        alter column total_tokens_used set not null,
        alter column total_tokens_used set default 0,
        alter column ai_agent_used set default false,
        alter column metadata set default '{}',
        alter column created_at set not null,
        alter column created_at set default now(),
        alter column updated_at set not null,
        alter column updated_at set default now();
end
$$;

-- The unique constraint of session_id gets the name under which the index is known.
do $$
declare
    known name;
begin
    if to_regclass('voice_before.adopted') is null then
        return;
    end if;
    select c.conname into known from pg_constraint c
    where c.conrelid = 'public.voice_calls'::regclass and c.contype = 'u' and c.conkey = array[(
        select attnum from pg_attribute where attrelid = c.conrelid and attname = 'session_id'
    )];
    if known is distinct from 'idx_voice_calls_session_id' then
        drop index if exists public.idx_voice_calls_session_id;
        if known is null then
            alter table public.voice_calls
                add constraint idx_voice_calls_session_id unique (session_id);
        else
            execute format(
                'alter table public.voice_calls rename constraint %I to idx_voice_calls_session_id',
                known
            );
        end if;
    end if;
end
$$;

-- Messages: two writers could meet at one number. The order stays; a number that changes is kept in
-- metadata.
do $$
begin
    if to_regclass('voice_before.adopted') is null
        or to_regclass('public.voice_messages') is null
        or to_regclass('public.idx_voice_messages_call_sequence') is not null
    then
        return;
    end if;
    perform set_config('lock_timeout', '2s', true);
    lock table public.voice_messages in access exclusive mode;
    alter table public.voice_messages
        add column if not exists interrupted boolean not null default false,
        add column if not exists participant_identity varchar(255),
        add column if not exists speech_id text,
        add column if not exists speech_started_at timestamptz,
        add column if not exists speech_ended_at timestamptz,
        add column if not exists transcription_delay_ms int,
        add column if not exists end_of_turn_delay_ms int,
        add column if not exists llm_ttft_ms int,
        add column if not exists tts_ttfb_ms int,
        add column if not exists e2e_latency_ms int,
        add column if not exists revision bigint not null default 0;
    alter table public.voice_messages disable trigger user;  -- it sums the whole call for each row
    update public.voice_messages m set
        sequence_number = n.nth,
        metadata = case
            when m.sequence_number is null then m.metadata
            when jsonb_typeof(coalesce(m.metadata, '{}')) = 'object' then
                coalesce(m.metadata, '{}')
                || jsonb_build_object('sequence_number_before', m.sequence_number)
            else jsonb_build_object(
                'metadata', m.metadata, 'sequence_number_before', m.sequence_number
            )
        end
    from (
        select id, row_number() over (
            partition by call_id order by sequence_number nulls last, timestamp, id
        ) as nth
        from public.voice_messages where call_id in (
            select call_id from public.voice_messages
            group by call_id having count(*) <> count(distinct sequence_number)
        )
    ) n
    where m.id = n.id and m.sequence_number is distinct from n.nth;
    alter table public.voice_messages enable trigger user;
    update public.voice_messages set timestamp = now() where timestamp is null;
    alter table public.voice_messages
        alter column timestamp set not null,
        alter column timestamp set default now(),
        alter column tokens_used set default 0,
        alter column metadata set default '{}';
    create unique index idx_voice_messages_call_sequence
        on public.voice_messages (call_id, sequence_number) include (role);
end
$$;

-- Legs: a rejoin is a leg of its own.
do $$
declare
    once name;
begin
    if to_regclass('voice_before.adopted') is null
        or to_regclass('public.call_participants') is null
        or exists (
            select from pg_attribute
            where attrelid = to_regclass('public.call_participants') and attname = 'revision'
        )
    then
        return;
    end if;
    perform set_config('lock_timeout', '2s', true);
    for once in
        select conname from pg_constraint
        where conrelid = 'public.call_participants'::regclass and contype = 'u'
    loop
        execute format('alter table public.call_participants drop constraint %I', once);
    end loop;
    alter table public.call_participants
        add column participant_sid text,
        add column kind text not null default 'standard'
            constraint call_participants_kind_check
            check (kind in ('standard', 'sip', 'agent', 'egress', 'ingress', 'connector')),
        add column disconnect_reason text,
        add column closed_by_sweep boolean not null default false,
        add column revision bigint not null default 0;
    alter table public.call_participants
        drop constraint if exists call_participants_participant_type_check;
    update public.call_participants set
        participant_type = 'user',
        metadata = coalesce(metadata, '{}')
            || jsonb_build_object('participant_type_before', participant_type)
    where participant_type not in ('user', 'agent', 'admin');
    update public.call_participants p set joined_at = coalesce(p.left_at, c.created_at)
    from public.voice_calls c where c.id = p.call_id and p.joined_at is null;
    alter table public.call_participants
        add constraint call_participants_participant_type_check
            check (participant_type in ('user', 'agent', 'admin')),
        alter column participant_type set default 'user',
        alter column joined_at set not null,
        alter column joined_at set default now(),
        alter column is_muted set default false,
        alter column metadata set default '{}';
end
$$;

-- migrate:down
