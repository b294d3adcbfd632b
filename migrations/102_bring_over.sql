-- migrate:up
-- Rows that were there before. Those of the basic schema, which 011 has set aside, come into the
-- enhanced tables: all or nothing, and nothing of a row is lost, what has no column of its own, or
-- can't be read as what its column holds, is in metadata. The old tables stay until their owner
-- drops them (`db migrate --drop-before`); voice_before.brought_over says that their rows are here.
-- Those of an enhanced schema made by hand, which 012 has adopted, get their totals and durations.
-- Where there is nothing to bring over this changes nothing.
--
-- It can take minutes, and works with the routines (db/routines) and without them: `db migrate`
-- applies them first, so that calls go on meanwhile. The functions here are this file's own, and
-- gone at its end.

-- Whole seconds; 0 when a clock stepped back; null while it lasts.
create function pg_temp.seconds_between(since timestamptz, until timestamptz) returns int
language sql immutable as $$
    select case when since is not null and until is not null then least(
        2147483647,
        greatest(0, floor(extract(epoch from until) - extract(epoch from since)))
    )::int end
$$;

-- One id for one old row, version 7, in the order of the times.
create function pg_temp.before_id(at timestamptz, seed text) returns uuid
language sql immutable as $$
    select (
        lpad(to_hex(greatest(0, extract(epoch from at) * 1000)::bigint), 12, '0')
        || '7' || left(md5(seed), 3) || '8' || right(md5(seed), 15)
    )::uuid
$$;

-- What the user wrote stays as it is; the columns that the team added, and ours, come beside it:
-- where names meet, as wholes under names of their own.
create function pg_temp.before_metadata(theirs jsonb, columns jsonb, ours jsonb) returns jsonb
language plpgsql immutable as $$
declare
    beside jsonb := ours;
begin
    if columns <> '{}' then
        beside := ours || case when columns ?| array(select jsonb_object_keys(ours))
            then jsonb_build_object('basic_columns', columns) else columns end;
    end if;
    if theirs is null or theirs in ('{}', 'null') then
        return beside;
    end if;
    return case
        when jsonb_typeof(theirs) <> 'object' then
            beside || jsonb_build_object('metadata', theirs)
        when theirs ? 'basic_schema' then
            jsonb_build_object('metadata', theirs, 'basic_schema', beside)
        when theirs ?| array(select jsonb_object_keys(beside)) then
            theirs || jsonb_build_object('basic_schema', beside)
        else theirs || beside
    end;
end
$$;

-- Any value as JSON; as text where JSON has no such value (a json column may hold "\u0000").
create function pg_temp.json_of(value anyelement) returns jsonb
language plpgsql stable as $$
begin
    return to_jsonb(value);
exception when others then
    return to_jsonb(value::text);
end
$$;

-- JSON that stands in a text; the text as JSON where there is none in it.
create function pg_temp.json_in(value text) returns jsonb
language plpgsql stable as $$
begin
    return value::jsonb;
exception when others then
    return to_jsonb(value);
end
$$;

-- A whole number that stands in a text as a number of JSON.
create function pg_temp.number_in(value text) returns jsonb
language sql immutable as $$
    select case when value ~ '^(0|-?[1-9]\d{0,17})$' then to_jsonb(value::bigint)
        else to_jsonb(value) end
$$;

-- A time that stands in a text, in the way of ISO 8601; null if it does not.
create function pg_temp.time_in(value text) returns timestamptz
language plpgsql stable as $$
begin
    return case when value ~ '^\s*\d{4}-\d\d-\d\d' then value::timestamptz end;
exception when others then
    return null;
end
$$;

-- A time that a row can have (voice_calls_times_check).
create function pg_temp.known_time(at timestamptz) returns timestamptz
language sql immutable as $$
    select case when at >= '0001-01-01 00:00+00' and at < '9999-12-31 00:00+00' then at end
$$;

-- The expression that reads one column of an old table, b, as a type: text, uuid, boolean, jsonb or
-- timestamptz. Null where there is no such column, or no such value in it. Times without a zone are
-- of UTC.
create function pg_temp.reading(home regclass, name text, wanted text) returns text
language plpgsql stable as $$
declare
    kind text;
    spoken text := format('b.%I::text', name);
begin
    select case when t.typtype = 'd' then 'domain' else format_type(t.oid, null) end into kind
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = home and a.attname = name and a.attnum > 0 and not a.attisdropped;
    return case
        when kind is null then format('null::%s', wanted)
        when wanted = 'timestamptz' then format('pg_temp.known_time(%s)', case kind
            when 'timestamp with time zone' then format('b.%I', name)
            when 'timestamp without time zone' then format('(b.%I at time zone ''UTC'')', name)
            else format('pg_temp.time_in(%s)', spoken)
        end)
        when kind = wanted then format('b.%I', name)
        when wanted = 'uuid' then format(
            'case when %s ~* %L then (%s)::uuid end', spoken,
            '^(([0-9a-f]{4}-?){7}[0-9a-f]{4}|[{]([0-9a-f]{4}-?){7}[0-9a-f]{4}[}])$', spoken
        )
        when wanted = 'boolean' then format(
            'case when lower(%1$s) in (''t'', ''true'', ''yes'', ''y'', ''on'', ''1'') then true '
            'when lower(%1$s) in (''f'', ''false'', ''no'', ''n'', ''off'', ''0'') then false end',
            spoken
        )
        when wanted = 'jsonb' and kind in ('text', 'character varying', 'domain')
            then format('pg_temp.json_in(%s)', spoken)
        when wanted = 'jsonb' then format('pg_temp.json_of(b.%I)', name)
        else spoken
    end;
end
$$;

-- An old table, or none, as a view that has the columns that we know, each of its type, whatever is
-- there. unread holds what could not be read of them, by basic_<name>; more the columns that the
-- team added; place tells one row from another. No value of a row makes it fail.
create procedure pg_temp.read_old(home regclass, name text, known text[], kinds text[])
language plpgsql as $$
declare
    columns text;
    unread text;
    more text;
begin
    select
        string_agg(format('%s as %I', pg_temp.reading(home, k.name, k.kind), k.name), ', '),
        string_agg(format(
            'case when b.%1$I is null or (%2$s) is not null then ''{}'' '
            'else jsonb_build_object(%3$L, pg_temp.json_of(b.%1$I)) end',
            k.name, pg_temp.reading(home, k.name, k.kind), 'basic_' || k.name
        ), ' || ') filter (where a.attname is not null and k.kind not in ('text', 'jsonb'))
    into columns, unread
    from unnest(known, kinds) k (name, kind)
    left join pg_attribute a on a.attrelid = home and a.attname = k.name and not a.attisdropped;
    select string_agg(format(
        'case when b.%1$I is null then ''{}'' '
        'else jsonb_build_object(%1$L, pg_temp.json_of(b.%1$I)) end', a.attname
    ), ' || ') into more
    from pg_attribute a
    where a.attrelid = home and a.attnum > 0 and not a.attisdropped and a.attname <> all (known);
    execute format(
        'create temp view %I as select %s, (%s)::jsonb as unread, (%s)::jsonb as more, '
        '%s as place from %s b', name, columns, coalesce(unread, '''{}'''),
        coalesce(more, '''{}'''), case when home is null then 'null::text' else 'b.ctid::text' end,
        coalesce(home::text, '(select where false)')
    );
end
$$;

-- One id belongs to one call: a row without one, or with that of another row, is given its own.
-- Where the id is the table's key nothing has to be compared.
create procedure pg_temp.read_old_calls(home regclass) language plpgsql as $$
declare
    is_key constant boolean := exists (
        select from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = home and i.indisunique and i.indisvalid and i.indpred is null
        and i.indnkeyatts = 1 and a.attname = 'id' and a.attnotnull and a.atttypid = 'uuid'::regtype
    );
begin
    call pg_temp.read_old(home, 'old_rows', array[
        'id', 'room_name', 'caller_id', 'callee_id', 'call_type', 'status', 'started_at',
        'connected_at', 'ended_at', 'created_at', 'duration_seconds', 'recording_url', 'transcript',
        'metadata'
    ], array[
        'uuid', 'text', 'text', 'text', 'text', 'text', 'timestamptz', 'timestamptz', 'timestamptz',
        'timestamptz', 'text', 'text', 'text', 'jsonb'
    ]);
    execute format(
        'create temp view old_calls as select r.*, %s as keeps_id from pg_temp.old_rows r',
        case when is_key then 'true' else
            'r.id is not null and row_number() over (partition by r.id order by r.place) = 1' end
    );
end
$$;

create procedure pg_temp.read_old_legs(home regclass) language plpgsql as $$
begin
    call pg_temp.read_old(home, 'old_legs', array[
        'id', 'call_id', 'user_id', 'participant_identity', 'participant_name', 'joined_at',
        'left_at', 'duration_seconds', 'is_muted', 'metadata'
    ], array[
        'text', 'uuid', 'text', 'text', 'text', 'timestamptz', 'timestamptz', 'text', 'boolean',
        'jsonb'
    ]);
end
$$;

-- A call that is under way stays so if something is known of it in the last 24 hours, and the
-- workers look for its room (ai_agent_used: voice_worker.unserved). Any other ends as rows that
-- nobody serves do, when it was last heard of: a guess (swept_at), which gives way to who knows
-- better.
create procedure pg_temp.bring_calls_over() language plpgsql as $$
declare
    before bigint;
    moved bigint;
begin
    select count(*) into before from voice_before.voice_calls;
    insert into public.voice_calls (
        id, made_by, user_id, callee_id, session_id, room_name, status, end_reason, started_at,
        connected_at, ended_at, swept_at, duration_seconds, recording_url, transcript, ai_agent_used, metadata,
        created_at, updated_at
    )
    select
        -- A front end made it, maybe for a user: callId alone finds it.
        b.new_id, 'authenticated', caller.id, callee.id,
        -- A room's name belongs to its newest call. One that ends as ours do could be another
        -- call's.
        case when b.room_name <> '' and length(b.room_name) <= 255 and b.nth = 1
            and taken.id is null and b.room_name !~* '@[0-9a-f-]{36}$'
            then b.room_name else left(coalesce(b.room_name, ''), 218) || '@' || b.new_id end,
        left(coalesce(b.room_name, ''), 255),
        s.status::public.call_status,
        case when s.is_guess then 'not_served' when s.status = 'failed' then
            coalesce(word.reason, case when s.word = 'pending' then 'missed' end) end,
        b.started_at, b.connected_at, s.ended_at,
        case when s.is_guess then s.ended_at end,
        t.seconds, b.recording_url, b.transcript, s.status = 'active',
        pg_temp.before_metadata(b.metadata, b.more, b.unread ||
            jsonb_strip_nulls(jsonb_build_object(
                'caller_id', case when caller.id is null then b.caller_id end,
                'callee_id', case when callee.id is null then b.callee_id end,
                'call_type', b.call_type,
                'basic_status', case when s.status <> b.status then b.status end,
                -- The column follows from the times.
                'basic_duration_seconds', case when b.duration_seconds is distinct from
                    t.seconds::text then pg_temp.number_in(b.duration_seconds) end,
                'room_name', case when length(b.room_name) > 255 then b.room_name end,
                'basic_id', case when not b.keeps_id then b.id end,
                'basic_row', case when not b.keeps_id then b.place end
            ))
        ),
        coalesce(b.created_at, b.started_at, now()),
        coalesce(s.ended_at, b.connected_at, b.started_at, b.created_at, now())
    from (
        select
            c.*,
            case when c.keeps_id then c.id else pg_temp.before_id(
                coalesce(c.created_at, c.started_at, now()), c.place
            ) end as new_id,
            row_number() over (
                partition by c.room_name order by c.created_at desc nulls last, c.id
            ) as nth
        from pg_temp.old_calls c
    ) b
    left join public.users caller on caller.id::text = lower(b.caller_id)
    left join public.users callee on callee.id::text = lower(b.callee_id)
    left join public.voice_calls taken on taken.session_id = b.room_name
    left join (values
        ('pending', 'pending', null), ('ringing', 'pending', null), ('queued', 'pending', null),
        ('initiated', 'pending', null), ('waiting', 'pending', null),
        ('active', 'active', null), ('connected', 'active', null), ('in-progress', 'active', null),
        ('ongoing', 'active', null), ('answered', 'active', null),
        ('completed', 'completed', null), ('complete', 'completed', null),
        ('ended', 'completed', null), ('finished', 'completed', null), ('done', 'completed', null),
        ('missed', 'failed', 'missed'), ('error', 'failed', 'error'),
        ('busy', 'failed', 'rejected'),
        ('rejected', 'failed', 'rejected'), ('declined', 'failed', 'rejected'),
        ('no-answer', 'failed', 'no_answer')
    ) word (said, status, reason) on word.said = translate(lower(btrim(b.status)), ' _', '--')
    left join (
        select
            p.call_id,
            max(p.joined_at) filter (where p.joined_at <= now()) as joined_at,
            max(p.left_at) filter (where p.left_at <= now()) as left_at
        from pg_temp.old_legs p
        where p.call_id in (select id from pg_temp.old_rows where ended_at is null)
        group by p.call_id
    ) legs on legs.call_id = b.id
    cross join lateral (
        select greatest(
            case when b.created_at <= now() then b.created_at end,
            case when b.started_at <= now() then b.started_at end,
            case when b.connected_at <= now() then b.connected_at end,
            legs.joined_at, legs.left_at
        ) as at
    ) last
    cross join lateral (
        select
            u.word, u.is_guess,
            case
                when u.is_guess then 'failed'
                when b.ended_at is null or u.word in ('completed', 'failed') then u.word
                when u.word = 'active' or b.connected_at is not null or b.status is null
                    then 'completed'
                else 'failed'
            end as status,
            case when u.is_guess then coalesce(last.at, now()) else b.ended_at end as ended_at
        from (
            select
                w.word,
                w.word = 'active' and b.ended_at is null and (
                    last.at > now() - interval '24 hours'
                    and greatest(b.created_at, b.started_at, b.connected_at) <= now()
                ) is not true as is_guess
            from (
                select case when b.status is null then 'pending'
                    else coalesce(word.status, 'failed') end as word
            ) w
        ) u
    ) s
    cross join lateral (
        select pg_temp.seconds_between(
            coalesce(b.connected_at, b.started_at, b.created_at, now()), s.ended_at
        ) as seconds
    ) t;
    get diagnostics moved = row_count;
    if moved <> before then
        raise exception '% calls of the basic schema, but % were brought over', before, moved;
    end if;
    insert into voice_before.brought_over (name, rows) values ('voice_calls', moved);
end
$$;

create procedure pg_temp.bring_participants_over() language plpgsql as $$
declare
    before bigint;
    moved bigint;
begin
    select count(*) into before from voice_before.call_participants;
    insert into public.call_participants (
        id, call_id, user_id, participant_identity, participant_name, joined_at, left_at,
        closed_by_sweep, duration_seconds, is_muted, metadata
    )
    select
        pg_temp.before_id(t.joined_at, concat(p.id, p.place)), c.id, u.id, left(t.identity, 255),
        left(p.participant_name, 255), t.joined_at, t.left_at, t.left_at is distinct from p.left_at,
        pg_temp.seconds_between(t.joined_at, t.left_at), p.is_muted,
        pg_temp.before_metadata(p.metadata, p.more, p.unread ||
            jsonb_strip_nulls(jsonb_build_object(
                'basic_id', pg_temp.number_in(p.id),
                'userId', case when u.id is null then p.user_id end,
                'participant_identity', case when length(p.participant_identity) > 255
                    then p.participant_identity end,
                'participant_name', case when length(p.participant_name) > 255
                    then p.participant_name end,
                'basic_duration_seconds', case when p.duration_seconds is distinct from
                    pg_temp.seconds_between(t.joined_at, t.left_at)::text
                    then pg_temp.number_in(p.duration_seconds) end
            ))
        )
    from pg_temp.old_legs p
    join public.voice_calls c on c.id = p.call_id
    cross join lateral (
        select
            coalesce(p.joined_at, c.created_at) as joined_at,
            -- Nobody is left in a call that has ended by the guess above.
            case when p.left_at is null and c.swept_at is not null and c.status = 'failed'
                then greatest(coalesce(p.joined_at, c.created_at), c.ended_at)
                else p.left_at end as left_at,
            coalesce(
                nullif(p.participant_identity, ''), nullif(p.user_id, ''),
                nullif(p.participant_name, ''), 'unknown'
            ) as identity
    ) t
    left join public.users u on u.id::text = lower(p.user_id);
    get diagnostics moved = row_count;
    if moved <> before then
        raise exception '% participants of the basic schema, but % were brought over', before, moved
            using hint = 'Those whose call is not there have to go, or be given one.';
    end if;
    insert into voice_before.brought_over (name, rows) values ('call_participants', moved);
end
$$;

-- Other tables may point to a call: from now on to the new row of the same id.
create procedure pg_temp.turn_references_over() language plpgsql as $$
declare
    other record;
    turned text;
begin
    for other in
        select f.conrelid::regclass as home, f.conname, pg_get_constraintdef(f.oid) as definition
        from pg_constraint f join pg_class c on c.oid = f.conrelid
        where f.contype = 'f' and f.confrelid = 'voice_before.voice_calls'::regclass
        and f.conparentid = 0 and c.relnamespace <> 'voice_before'::regnamespace
    loop
        turned := replace(
            other.definition, 'REFERENCES voice_before.voice_calls(',
            'REFERENCES public.voice_calls('
        );
        execute format('alter table %s drop constraint %I', other.home, other.conname);
        begin
            execute format(
                'alter table %s add constraint %I %s', other.home, other.conname, turned
            );
        exception when foreign_key_violation then  -- it did not hold before either
            execute format(
                'alter table %s add constraint %I %s not valid', other.home, other.conname, turned
            );
        end;
    end loop;
end
$$;

-- The old tables stay, with what hangs on them, until their owner drops them; empty ones are of no
-- use to anybody, unless something of his hangs on them.
create procedure pg_temp.let_go_of_empty() language plpgsql as $$
begin
    if exists (select from voice_before.brought_over where rows > 0) then
        return;
    end if;
    drop table if exists voice_before.call_participants, voice_before.voice_calls;
    drop table voice_before.brought_over;
exception when dependent_objects_still_exist then
    null;
end
$$;

do $$
declare
    calls constant regclass := to_regclass('voice_before.voice_calls');
    legs constant regclass := to_regclass('voice_before.call_participants');
    came text[] := '{}';
begin
    if calls is null and legs is null then
        return;
    end if;
    perform set_config('TimeZone', 'UTC', true);
    perform set_config('DateStyle', 'ISO, YMD', true);
    perform set_config('row_security', 'off', true);
    if to_regclass('voice_before.brought_over') is null then
        create table voice_before.brought_over (
            name text primary key,
            rows bigint not null,
            at timestamptz not null default now()
        );
    end if;
    came := array(select name from voice_before.brought_over);
    call pg_temp.read_old_calls(calls);
    call pg_temp.read_old_legs(legs);
    if calls is not null and 'voice_calls' <> all (came) then
        for attempt in 1..5 loop
            begin
                call pg_temp.bring_calls_over();
                exit;
            exception when unique_violation then
                -- A call has just begun in a room that was used before: the name is that call's.
                if attempt = 5 then
                    raise;
                end if;
            end;
        end loop;
        call pg_temp.turn_references_over();
    end if;
    if legs is not null and 'call_participants' <> all (came) then
        call pg_temp.bring_participants_over();
    end if;
    drop view pg_temp.old_calls, pg_temp.old_rows, pg_temp.old_legs;
    call pg_temp.let_go_of_empty();
end
$$;

-- What was adopted: totals and durations that the replaced triggers left wrong or empty.
do $$
begin
    if to_regclass('voice_before.adopted') is null then
        return;
    end if;
    -- Nobody knows who made the open rows, so only callId finds them (find_call).
    update public.voice_calls set made_by = 'authenticated'
    where user_id is not null and status in ('pending', 'active') and made_by <> 'authenticated';
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

drop procedure pg_temp.let_go_of_empty();
drop procedure pg_temp.turn_references_over();
drop procedure pg_temp.bring_participants_over();
drop procedure pg_temp.bring_calls_over();
drop procedure pg_temp.read_old_legs(regclass);
drop procedure pg_temp.read_old_calls(regclass);
drop procedure pg_temp.read_old(regclass, text, text[], text[]);
drop function pg_temp.reading(regclass, text, text);
drop function pg_temp.known_time(timestamptz);
drop function pg_temp.time_in(text);
drop function pg_temp.number_in(text);
drop function pg_temp.json_in(text);
drop function pg_temp.json_of(anyelement);
drop function pg_temp.before_metadata(jsonb, jsonb, jsonb);
drop function pg_temp.before_id(timestamptz, text);
drop function pg_temp.seconds_between(timestamptz, timestamptz);

-- An empty schema goes; the routines may still need voice_before.functions, and take the schema
-- with it.
do $$
begin
    if to_regnamespace('voice_before') is null then
        return;
    end if;
    if not exists (select from pg_class where relnamespace = 'voice_before'::regnamespace) then
        drop schema voice_before;
    elsif to_regclass('voice_before.brought_over') is not null then
        raise notice 'schema voice_before keeps the tables from before, whose rows are in public'
            using hint = 'To drop them: `db migrate --drop-before`.';
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
