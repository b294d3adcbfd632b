-- migrate:up
-- Rows that were there before. Those of the basic schema, which 011 has set aside, come into the
-- enhanced tables: all or nothing, and nothing of a row is lost, what has no column of its own is in
-- metadata. Those of an enhanced schema made by hand, which 012 has adopted, get their totals and
-- durations. Where there is nothing to bring over this changes nothing.
--
-- It can take minutes, and works with the routines (db/routines) and without them: `db migrate` applies
-- them first, so that calls go on meanwhile. The functions here are this file's own, and gone at its end.

-- Whole seconds; 0 when a clock stepped back; null while it lasts.
create function pg_temp.seconds_between(since timestamptz, until timestamptz) returns int
language sql immutable as $$
    select case when since is not null and until is not null then least(
        2147483647,
        greatest(0, floor(extract(epoch from until) - extract(epoch from since)))
    )::int end
$$;

-- One id for one old number, version 7, in the order of the times.
create function pg_temp.before_id(at timestamptz, seed text) returns uuid
language sql immutable as $$
    select (
        lpad(to_hex(greatest(0, extract(epoch from at) * 1000)::bigint), 12, '0')
        || '7' || left(md5(seed), 3) || '8' || right(md5(seed), 15)
    )::uuid
$$;

-- Columns that the basic schema does not have are the team's own.
create function pg_temp.has_more(basic regclass, known text[]) returns boolean
language sql stable as $$
    select exists (
        select from pg_attribute
        where attrelid = basic and attnum > 0 and not attisdropped and attname <> all (known)
    )
$$;

-- What the user wrote stays as it is; ours comes beside it, and as a whole where names meet.
create function pg_temp.before_metadata(theirs jsonb, ours jsonb) returns jsonb
language sql immutable as $$
    select case
        when theirs is null or theirs in ('{}', 'null') then ours
        when jsonb_typeof(theirs) <> 'object' then ours || jsonb_build_object('metadata', theirs)
        when theirs ?| array(select jsonb_object_keys(ours)) then
            theirs || jsonb_build_object('basic_schema', ours)
        else theirs || ours
    end
$$;

create procedure pg_temp.bring_calls_over() language plpgsql as $$
declare
    known constant text[] := array[
        'id', 'room_name', 'caller_id', 'callee_id', 'call_type', 'status', 'started_at',
        'connected_at', 'ended_at', 'duration_seconds', 'recording_url', 'transcript', 'metadata',
        'created_at'
    ];
    more constant boolean := pg_temp.has_more('voice_before.voice_calls', known);
    before bigint;
    moved bigint;
begin
    select count(*) into before from voice_before.voice_calls;
    insert into public.voice_calls (
        id, user_id, callee_id, session_id, room_name, status, end_reason, started_at, connected_at,
        ended_at, duration_seconds, recording_url, transcript, metadata, created_at, updated_at
    )
    select
        b.id, caller.id, callee.id,
        -- A room's name belongs to its newest call.
        case when b.room_name <> '' and length(b.room_name) <= 255 and b.nth = 1
            and taken.id is null
            then b.room_name else left(coalesce(b.room_name, ''), 218) || '@' || b.id end,
        left(coalesce(b.room_name, ''), 255),
        s.status::public.call_status,
        case when s.status = 'failed' and b.status <> 'failed' then b.status end,
        b.started_at, b.connected_at, b.ended_at,
        pg_temp.seconds_between(
            coalesce(b.connected_at, b.started_at, b.created_at, now()), b.ended_at
        ),
        b.recording_url, b.transcript,
        pg_temp.before_metadata(b.metadata, jsonb_strip_nulls(jsonb_build_object(
            'caller_id', case when caller.id is null then b.caller_id end,
            'callee_id', case when callee.id is null then b.callee_id end,
            'call_type', b.call_type,
            'basic_status', case when s.status <> b.status then b.status end,
            -- The column follows from the times.
            'basic_duration_seconds', case when b.duration_seconds is distinct from
                pg_temp.seconds_between(
                    coalesce(b.connected_at, b.started_at, b.created_at), b.ended_at
                ) then b.duration_seconds end,
            'room_name', case when length(b.room_name) > 255 then b.room_name end
        ) || case when more then to_jsonb(b) - known - 'nth'::text else '{}' end)),
        coalesce(b.created_at, b.started_at, now()),
        coalesce(b.ended_at, b.connected_at, b.started_at, b.created_at, now())
    from (
        select c.*, row_number() over (
            partition by c.room_name order by c.created_at desc nulls last, c.id
        ) as nth
        from voice_before.voice_calls c
    ) b
    left join public.users caller on caller.id::text = lower(b.caller_id)
    left join public.users callee on callee.id::text = lower(b.callee_id)
    left join public.voice_calls taken on taken.session_id = b.room_name
    cross join lateral (
        select case coalesce(b.status, 'pending')
            when 'ringing' then 'pending' when 'connected' then 'active'
            when 'pending' then 'pending' when 'completed' then 'completed' else 'failed'
        end as status
    ) s;
    get diagnostics moved = row_count;
    if moved <> before then
        raise exception '% calls of the basic schema, but % were brought over', before, moved;
    end if;
end
$$;

create procedure pg_temp.bring_participants_over() language plpgsql as $$
declare
    known constant text[] := array[
        'id', 'call_id', 'user_id', 'participant_name', 'joined_at', 'left_at', 'duration_seconds',
        'is_muted'
    ];
    more constant boolean := pg_temp.has_more('voice_before.call_participants', known);
    before bigint;
    moved bigint;
begin
    select count(*) into before from voice_before.call_participants;
    insert into public.call_participants (
        id, call_id, user_id, participant_identity, participant_name, joined_at, left_at,
        duration_seconds, is_muted, metadata
    )
    select
        pg_temp.before_id(t.joined_at, p.id::text), p.call_id, u.id,
        left(coalesce(nullif(p.user_id, ''), nullif(p.participant_name, ''), 'unknown'), 255),
        left(p.participant_name, 255), t.joined_at, p.left_at,
        pg_temp.seconds_between(t.joined_at, p.left_at), p.is_muted,
        jsonb_strip_nulls(jsonb_build_object(
            'basic_id', p.id,
            'userId', case when u.id is null then p.user_id end,
            'participant_name', case when length(p.participant_name) > 255
                then p.participant_name end,
            'basic_duration_seconds', case when p.duration_seconds is distinct from
                pg_temp.seconds_between(t.joined_at, p.left_at) then p.duration_seconds end
        ) || case when more then to_jsonb(p) - known else '{}' end)
    from voice_before.call_participants p
    join public.voice_calls c on c.id = p.call_id
    cross join lateral (select coalesce(p.joined_at, c.created_at) as joined_at) t
    left join public.users u on u.id::text = lower(p.user_id);
    get diagnostics moved = row_count;
    if moved <> before then
        raise exception '% participants of the basic schema, but % were brought over', before, moved
            using hint = 'Those whose call is not there have to go, or be given one.';
    end if;
end
$$;

-- Other tables may point to a call: from now on to the new row of the same id.
create procedure pg_temp.turn_references_over() language plpgsql as $$
declare
    other record;
begin
    for other in
        select conrelid::regclass as home, conname, pg_get_constraintdef(oid) as definition
        from pg_constraint
        where contype = 'f' and confrelid = 'voice_before.voice_calls'::regclass
        and conrelid is distinct from to_regclass('voice_before.call_participants')
    loop
        execute format('alter table %s drop constraint %I', other.home, other.conname);
        execute format(
            'alter table %s add constraint %I %s', other.home, other.conname,
            replace(
                other.definition, 'REFERENCES voice_before.voice_calls(',
                'REFERENCES public.voice_calls('
            )
        );
    end loop;
end
$$;

-- What still hangs on an old table (a view, say) is its owner's to change: the table stays for it.
create procedure pg_temp.let_go_of(name text) language plpgsql as $$
begin
    execute format('drop table voice_before.%I', name);
exception when dependent_objects_still_exist then
    execute format('alter table voice_before.%I rename to %I', name, name || '_brought_over');
    raise warning 'voice_before.%_brought_over is kept: something of yours depends on it', name
        using hint = 'Its rows are in public. Change what depends on it, then drop it.';
end
$$;

do $$
begin
    if to_regclass('voice_before.voice_calls') is not null then
        call pg_temp.bring_calls_over();
        call pg_temp.turn_references_over();
    end if;
    if to_regclass('voice_before.call_participants') is not null then
        call pg_temp.bring_participants_over();
        call pg_temp.let_go_of('call_participants');
    end if;
    if to_regclass('voice_before.voice_calls') is not null then
        call pg_temp.let_go_of('voice_calls');
    end if;
end
$$;

-- What was adopted: totals and durations that the replaced triggers left wrong or empty.
do $$
begin
    if to_regclass('voice_before.adopted') is null then
        return;
    end if;
    -- Of a call without messages the old total stays: it was counted when they were there.
    update public.voice_calls c set
        total_tokens_used = o.total,
        duration_seconds = pg_temp.seconds_between(
            coalesce(c.connected_at, c.started_at, c.created_at), c.ended_at
        ),
        updated_at = now()
    from (
        select v.id, coalesce(least(2147483647, greatest(0, t.n)), v.total_tokens_used) as total
        from public.voice_calls v
        left join (
            select call_id, sum(n) as n from (
                select call_id, tokens_used::bigint as n from public.voice_messages
                union all
                select call_id, total_tokens from public.voice_usage
                where message_id is null and kind in ('llm', 'realtime')
            ) counted group by call_id
        ) t on t.call_id = v.id
    ) o
    where c.id = o.id and (
        c.total_tokens_used <> o.total or (c.ended_at is not null and c.duration_seconds is null)
    );
    update public.call_participants set
        duration_seconds = pg_temp.seconds_between(joined_at, left_at)
    where left_at is not null and duration_seconds is null;
    drop table voice_before.adopted;
end
$$;

drop procedure pg_temp.bring_calls_over();
drop procedure pg_temp.bring_participants_over();
drop procedure pg_temp.turn_references_over();
drop procedure pg_temp.let_go_of(text);
drop function pg_temp.before_id(timestamptz, text);
drop function pg_temp.before_metadata(jsonb, jsonb);
drop function pg_temp.has_more(regclass, text[]);
drop function pg_temp.seconds_between(timestamptz, timestamptz);

-- What was set aside and brought over leaves an empty schema behind; the routines may still need
-- voice_before.functions, and take the schema with it.
do $$
begin
    if to_regnamespace('voice_before') is null then
        return;
    end if;
    if not exists (select from pg_class where relnamespace = 'voice_before'::regnamespace) then
        drop schema voice_before;
    elsif exists (
        select from pg_class
        where relnamespace = 'voice_before'::regnamespace and relname <> 'functions'
    ) then
        raise notice 'schema voice_before is kept: it is not empty';
    end if;
end
$$;

-- Refused events of a version before 81: call_id held the recorder's key, which is not the row's id
-- where a front end had made the row.
update voice_worker.refused_events r set
    call_key = r.call_id,
    call_id = coalesce(
        (select id from public.voice_calls where id = r.call_id),
        (select id from public.voice_calls where job_id = r.job_id limit 1)
    )
where r.call_id is not null and r.call_key is null;

-- Checks that were added beside rows are tried on them, beside whoever reads and writes. Rows from
-- before that do not do stay, and only new ones are checked.
do $$
declare
    given record;
begin
    for given in
        select conrelid::regclass as home, conname from pg_constraint
        where not convalidated and contype = 'c' and (conrelid, conname) in (
            ('public.voice_calls'::regclass, 'voice_calls_times_check'),
            ('public.voice_messages'::regclass, 'voice_messages_times_check'),
            ('public.call_participants'::regclass, 'call_participants_times_check'),
            ('public.call_participants'::regclass, 'call_participants_direction_check'),
            ('public.voice_usage'::regclass, 'voice_usage_kind_check')
        )
        order by conname
    loop
        begin
            execute format('alter table %s validate constraint %I', given.home, given.conname);
        exception when check_violation then
            raise notice 'rows of % are against %: they stay', given.home, given.conname;
        end;
    end loop;
end
$$;

-- migrate:down
