-- migrate:up
-- Tables of the basic schema go into a schema of their own: a moment's lock, whatever their size.
-- The enhanced tables then come empty and take calls at once, and 102 brings the rows over. What is
-- there is examined first, in the same transaction: what could not be brought over is refused with
-- one line that says what to change, and nothing has moved. Everywhere else this changes nothing.

-- Whether a table has a column.
create function pg_temp.has_column(home regclass, name text) returns boolean
language sql stable as $$
    select exists (
        select from pg_attribute
        where attrelid = home and attname = name and attnum > 0 and not attisdropped
    )
$$;

-- Whether a foreign key may refer to this column alone.
create function pg_temp.is_key(home regclass, name text) returns boolean
language sql stable as $$
    select exists (
        select from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = home and i.indisunique and i.indimmediate and i.indisvalid
        and i.indpred is null and i.indnkeyatts = 1 and a.attname = name
    )
$$;

-- What cannot be brought over, one line each, whoever reads the rows: the first that is found is
-- told.
create function pg_temp.faults_of_table(home regclass) returns setof text
language sql stable as $$
    select format('%s is no plain table: make it one (create table ... as select ...)', home)
    from pg_class c
    where c.oid = home and (
        c.relkind <> 'r' or c.relispartition
        or exists (select from pg_inherits where inhparent = home or inhrelid = home)
    )
    union all
    select format(
        'row level security hides rows of %s from you: alter table %s no force row level security',
        home, home
    )
    where row_security_active(home)
    union all
    select format(
        '%s.%I is %s, which is no time: alter table %s alter %I type timestamptz using ...',
        home, a.attname, format_type(a.atttypid, a.atttypmod), home, a.attname
    )
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = home and not a.attisdropped and t.typcategory <> 'S'
    and a.attname in (
        'started_at', 'connected_at', 'ended_at', 'created_at', 'joined_at', 'left_at'
    )
    and (case when t.typtype = 'd' then t.typbasetype else t.oid end)
        not in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
$$;

-- Of a column that holds ids of calls: null is told elsewhere.
create function pg_temp.fault_of_ids(home regclass, name text) returns text
language plpgsql stable as $$
declare
    kind text;
    wrong text;
begin
    select format_type(a.atttypid, a.atttypmod) into kind
    from pg_attribute a where a.attrelid = home and a.attname = name and not a.attisdropped;
    if kind is null then
        return format('%s has no column %I, which is to say which call it is', home, name);
    elsif kind = 'uuid' then
        return null;
    end if;
    execute format(
        'select left(%I::text, 100) from %s where %I::text !~* %L limit 1', name, home, name,
        '^(([0-9a-f]{4}-?){7}[0-9a-f]{4}|[{]([0-9a-f]{4}-?){7}[0-9a-f]{4}[}])$'
    ) into wrong;
    return case when wrong is not null then format(
        '%s.%I is %s, and %L is no uuid: give each call a uuid, in all tables that name it',
        home, name, kind, wrong
    ) end;
end
$$;

-- Foreign keys of other tables are turned over to the enhanced table, whose only key is its id.
create function pg_temp.faults_of_references(calls regclass, legs regclass) returns setof text
language sql stable as $$
    select format(
        'foreign key %I of %s cannot refer to the new voice_calls (id uuid): %s',
        f.conname, f.conrelid::regclass, case
            when not pg_has_role(c.relowner, 'usage') then 'its table is not yours'
            when array_length(f.conkey, 1) > 1 or k.attname <> 'id'
                then 'have it refer to the id alone, or drop it'
            else 'make its column a uuid, or drop it'
        end
    )
    from pg_constraint f
    join pg_class c on c.oid = f.conrelid
    join pg_attribute a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
    join pg_attribute k on k.attrelid = f.confrelid and k.attnum = f.confkey[1]
    where f.contype = 'f' and f.confrelid = calls and f.conparentid = 0
    and f.conrelid <> calls and f.conrelid is distinct from legs
    and (
        array_length(f.conkey, 1) > 1 or k.attname <> 'id' or a.atttypid <> 'uuid'::regtype
        or not pg_has_role(c.relowner, 'usage')
    )
    order by f.conname
$$;

-- What the files after this one make has to be free, or as they would make it.
create function pg_temp.faults_of_names() returns setof text
language sql stable as $$
    select format('public.%I is there, of a name that is needed: rename it', c.relname)
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relname in (
        'voice_messages', 'voice_usage', 'model_prices',
        'active_calls_summary', 'call_analytics', 'turn_costs', 'turn_latency'
    )
    union all
    select format(
        'type public.%I has not the values %s: alter type public.%I rename to ...',
        t.name, array_to_string(t.labels, ', '), t.name
    )
    from (values
        ('call_status', array['pending', 'active', 'completed', 'failed']),
        ('message_role', array['user', 'assistant', 'system'])
    ) t (name, labels)
    where to_regtype('public.' || t.name) is not null and not t.labels <@ array(
        select enumlabel::text from pg_enum where enumtypid = to_regtype('public.' || t.name)
    )
    union all
    select format('public.users has no %s: it needs id (uuid, its key), name, email, role', n.name)
    from unnest(array['id', 'name', 'email', 'role']) n (name), to_regclass('public.users') u
    where u is not null and not pg_temp.has_column(u, n.name)
    union all
    select 'public.users.id is no uuid, or not its key: calls could not refer to it'
    from to_regclass('public.users') u
    where u is not null and not (pg_temp.is_key(u, 'id') and exists (
        select from pg_attribute
        where attrelid = u and attname = 'id' and atttypid = 'uuid'::regtype
    ))
    union all
    select 'row level security hides rows of public.users from you: no force row level security'
    from to_regclass('public.users') u where u is not null and row_security_active(u)
$$;

-- Participants whose call is nowhere. A foreign key that holds tells without a look.
create function pg_temp.fault_of_strays(legs regclass, calls regclass) returns text
language plpgsql stable as $$
declare
    strays bigint;
begin
    if exists (
        select from pg_constraint f
        join pg_attribute a on a.attrelid = f.conrelid and a.attnum = f.conkey[1]
        where f.contype = 'f' and f.conrelid = legs and f.confrelid = calls and f.convalidated
        and array_length(f.conkey, 1) = 1 and a.attname = 'call_id' and a.attnotnull
    ) then
        return null;
    end if;
    -- One way to write an id: in columns of text there are several.
    execute format(
        'select count(*) from %s p where p.call_id is null%s', legs, case
            when calls is null then ' or true'
            else format(
                ' or not exists (select from %s c where translate(lower(c.id::text), ''{}-'', '''')
                    = translate(lower(p.call_id::text), ''{}-'', ''''))', calls
            )
        end
    ) into strays;
    return case when strays > 0 then format(
        '%s row(s) of %s have a call_id that is null or of no call: delete them, or set it',
        strays, legs
    ) end;
end
$$;

-- A table of that name of neither schema: 012 would leave it half adopted, or 100 refuse it later.
create function pg_temp.faults_of_kind(home regclass, columns text[]) returns setof text
language sql stable as $$
    select format(
        '%s is neither of the basic schema nor of the enhanced one, it lacks %s: rename it', home,
        string_agg(n.name, ', ')
    )
    from unnest(columns) n (name) where not pg_temp.has_column(home, n.name)
    having count(*) > 0
$$;

-- The first fault of what is to be set aside; null: there is none.
create function pg_temp.first_fault(calls regclass, legs regclass) returns text
language plpgsql stable as $$
declare
    home regclass;
    fault text;
begin
    foreach home in array array_remove(array[calls, legs], null) loop
        select f into fault from pg_temp.faults_of_table(home) f limit 1;
        fault := coalesce(
            fault,
            pg_temp.fault_of_ids(home, case when home = calls then 'id' else 'call_id' end)
        );
        if fault is not null then
            return fault;
        end if;
    end loop;
    select f into fault from pg_temp.faults_of_references(calls, legs) f limit 1;
    if fault is null and calls is not null then
        select f into fault from pg_temp.faults_of_names() f limit 1;
    end if;
    if fault is null and legs is not null then
        fault := pg_temp.fault_of_strays(
            legs, coalesce(
                calls, to_regclass('public.voice_calls'), to_regclass('voice_before.voice_calls')
            )
        );
    end if;
    return fault;
end
$$;

do $$
declare
    calls regclass := to_regclass('public.voice_calls');
    legs regclass := to_regclass('public.call_participants');
    fault text;
    home regclass;
begin
    if pg_temp.has_column(calls, 'session_id') and pg_temp.has_column(calls, 'total_tokens_used')
        or not pg_temp.has_column(calls, 'caller_id')
    then
        select f into fault from pg_temp.faults_of_kind(calls, array[
            'id', 'user_id', 'session_id', 'room_name', 'status', 'started_at', 'connected_at',
            'ended_at', 'duration_seconds', 'metadata', 'total_tokens_used', 'created_at',
            'updated_at'
        ]) f where calls is not null;
        calls := null;
    end if;
    if calls is null and pg_temp.has_column(legs, 'participant_identity') then
        legs := null;
    end if;
    fault := coalesce(fault, pg_temp.first_fault(calls, legs));
    if fault is not null then
        raise exception '%; nothing was changed', fault;
    end if;
    if calls is null and legs is null then
        return;
    end if;
    -- Rather fail and be run again than have everybody queue behind a long query.
    perform set_config('lock_timeout', '2s', true);
    create schema if not exists voice_before;
    revoke all on schema voice_before from public;
    foreach home in array array_remove(array[calls, legs], null) loop
        if exists (
            select from pg_class b join pg_class c on c.relname = b.relname
            where c.oid = home and b.relnamespace = 'voice_before'::regnamespace
        ) then
            raise exception '% and the one in voice_before are both of the basic schema: one has '
                'to go, or its rows into the other; nothing was changed', home;
        end if;
        -- Brought back by hand after an upgrade: its rows come over again.
        if to_regclass('voice_before.brought_over') is not null then
            delete from voice_before.brought_over b using pg_class c
            where c.oid = home and b.name = c.relname;
        end if;
        execute format('alter table %s set schema voice_before', home);
    end loop;
end
$$;

drop function pg_temp.first_fault(regclass, regclass);
drop function pg_temp.faults_of_kind(regclass, text[]);
drop function pg_temp.fault_of_strays(regclass, regclass);
drop function pg_temp.faults_of_names();
drop function pg_temp.faults_of_references(regclass, regclass);
drop function pg_temp.fault_of_ids(regclass, text);
drop function pg_temp.faults_of_table(regclass);
drop function pg_temp.is_key(regclass, text);
drop function pg_temp.has_column(regclass, text);

-- migrate:down
