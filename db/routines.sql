-- Generated from db/routines by `python -m db routines > db/routines.sql`: edit the files there.
-- Run this after the numbered files of migrations, with `psql -1` or without. The first statement
-- does all or nothing; the last gives users who signed up before their rows. A second run changes
-- nothing.
do $routines$
begin
    perform set_config('lock_timeout', '2.0s', true);
    perform set_config('check_function_bodies', 'off', true);
    perform pg_advisory_xact_lock(hashtext('voice_worker'), hashtext('routines'));
    if exists (select from voice_worker.schema_version where version > 103) then
        raise exception 'the schema of the database is newer than 103: nothing was changed'
            using hint = 'A newer release migrated it: use the files of that release.';
    end if;

    -- access/roles.sql
    execute $routine$
-- Creates the roles that get rights, if they do not exist. Existing roles stay unchanged; Supabase has
-- the first three.
--
-- anon, authenticated, service_role: as Supabase has them; service_role reads past row level security.
-- voice_worker: what a worker may do; its login is made a member by voice_worker.enlist.
-- voice_reader: what a dashboard may read: all figures, but no words and no names of people; grant it
-- to a dashboard's login.
-- Roles belong to the cluster and are not in a dump of a database. After a restore in another cluster,
-- this file creates them, and the other files grant their rights.
-- Locks: none.
do $$
declare
    wanted name;
begin
    foreach wanted in array array[
        'anon', 'authenticated', 'service_role', 'voice_worker', 'voice_reader'
    ] loop
        if to_regrole(wanted::text) is not null then
            continue;
        end if;
        begin
            execute format('create role %I nologin', wanted);
        exception when duplicate_object or unique_violation then
            continue;  -- another database's migration was quicker
        end;
        if wanted = 'service_role' then
            begin
                alter role service_role bypassrls;
            exception when insufficient_privilege then
                raise notice 'service_role lacks BYPASSRLS: a superuser has to grant it';
            end;
        end if;
    end loop;
end
$$;
$routine$;

    -- access/auth_uid.sql
    execute $routine$
-- auth.uid(): the id of the signed-in user, or null. Supabase has it; elsewhere this creates it, and
-- replaces our earlier versions.
--
-- PostgREST 9 and newer give all claims as one JSON setting, older versions one setting per claim. A
-- sub that is not a uuid (the id of another sign-in service) raises 22P02 in auth.uid_of, which is
-- called only for such values. auth.uid() itself is an expression that Postgres inlines into each
-- query; in PL/pgSQL it cost each query more than all policies together.
-- Locks: none. Called by: everybody who may use the schema auth.
do $$
declare
    uid_of constant text := $body$
begin
    return sub::uuid;
exception when invalid_text_representation then
    raise exception 'the token''s sub must be a uuid, the users.id of who is signed in; it is "%"',
        left(sub, 64)
        using errcode = 'invalid_text_representation',
        hint = 'Give PostgREST a token of your own whose sub is the users.id.';
end
$body$;
    sub constant text := $sub$coalesce(
            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
            nullif(current_setting('request.jwt.claim.sub', true), '')
        )$sub$;
    body constant text := '
        select case when ' || sub || ' like ''________-____-____-____-____________''
        then ' || sub || '::uuid
        else auth.uid_of(' || sub || ') end
    ';
    earlier constant text := '
        select ' || sub || '::uuid
    ';
    found text := (select prosrc from pg_proc where oid = to_regprocedure('auth.uid()'));
begin
    if to_regnamespace('auth') is null then
        create schema auth;
    end if;
    if found is null or found in (body, earlier) then
        execute format(
            'create or replace function auth.uid_of(sub text) returns uuid '
            'language plpgsql immutable strict as %L', uid_of
        );
        execute format(
            'create or replace function auth.uid() returns uuid language sql stable as %L', body
        );
        grant usage on schema auth to anon, authenticated, service_role;
    end if;
end
$$;
$routine$;

    -- access/schemas.sql
    execute $routine$
-- Who may use which schema. Only the roles named here may use voice_worker and voice_access: PostgREST
-- must not expose them. Our policies, views and functions use voice_access without a right to the
-- schema.
-- Locks: none.
revoke all on schema voice_worker, voice_access from public;
grant usage on schema public to authenticated, service_role, voice_worker, voice_reader;
grant usage on schema voice_worker to voice_worker, voice_reader;
$routine$;

    -- access/active_calls.sql
    execute $routine$
-- Ids of the active calls. Under row level security Postgres may not look up status in an index, since
-- comparing an enum is not leakproof, and does not know how few calls are active: with a bad plan, an
-- admin's summary read the whole table. It may look up ids.
--
-- With the owner's rights; the caller's policies then filter these ids. Locks: none. Called by:
-- active_calls_summary, for authenticated and service_role; nobody can name its schema.
create or replace function voice_access.active_calls() returns setof uuid
language sql stable security definer set search_path = pg_catalog, pg_temp rows 50 as $$
    select id from public.voice_calls where status = 'active'
$$;

revoke all on function voice_access.active_calls() from public;
grant execute on function voice_access.active_calls() to authenticated, service_role;
$routine$;

    -- access/bound_open_calls.sql
    execute $routine$
-- Raises PT429 if a user has too many calls that have not ended, so that they can't fill other people's
-- list of active calls. Only the user's newest thousand calls count, so that it is cheap.
--
-- of_user: the user. Locks: none. Called by: the trigger of voice_calls, nobody else.
create or replace function voice_worker.bound_open_calls(of_user uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    open_now constant bigint := (
        select count(*) from (
            select c.status from public.voice_calls c where c.user_id = of_user
            order by c.created_at desc limit 1000
        ) n where n.status in ('pending', 'active')
    );
begin
    if open_now >= (select open_calls from voice_worker.user_limits) then
        raise sqlstate 'PT429' using
            message = format('%s calls of this user have not ended', open_now),
            hint = 'End some of them.';
    end if;
end
$$;

revoke all on function voice_worker.bound_open_calls(uuid) from public;
$routine$;

    -- access/bound_size.sql
    execute $routine$
-- Raises PT413 if a value is too large. what: its column; bytes: its size, or null; most: the largest
-- size. Locks: none. Called by: the triggers, nobody else.
create or replace function voice_worker.bound_size(what text, bytes int, most int) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    if bytes > most then
        raise sqlstate 'PT413' using
            message = format('%s has %s bytes, at most %s can be stored', what, bytes, most);
    end if;
end
$$;

revoke all on function voice_worker.bound_size(text, int, int) from public;
$routine$;

    -- access/bring_auth_users.sql
    execute $routine$
-- Gives users who had signed up before Supabase's trigger was made (auth_users.sql) their row in
-- public.users, once: when all have one, the comment on this function is gone, and it does nothing more.
--
-- after: the id behind which it goes on. at_most: so many users at once; null for all.
-- Returns the last id it has seen, to be given as `after`; null when it is done.
-- Locks: the rows that it inserts. Called by: `db migrate`, after the routines, for some users at a
-- time; the last line of db/routines.sql, for all.
create or replace function voice_worker.bring_auth_users(
    after uuid default '00000000-0000-0000-0000-000000000000', at_most bigint default null
) returns uuid language plpgsql as $$
declare
    last uuid;
begin
    if obj_description(
        'voice_worker.bring_auth_users(uuid, bigint)'::regprocedure, 'pg_proc'
    ) is null then
        return null;
    end if;
    perform set_config('row_security', 'off', true);
    select b.id into last from (
        select u.id from auth.users u where u.id > after order by u.id limit at_most
    ) b order by b.id desc limit 1;
    insert into public.users (id, name, email)
    select u.id, voice_access.name_of(u.raw_user_meta_data), nullif(u.email, '') from auth.users u
    where u.id > after and u.id <= last
    on conflict do nothing;
    insert into public.users (id, name)  -- whose e-mail another row has
    select u.id, voice_access.name_of(u.raw_user_meta_data) from auth.users u
    where u.id > after and u.id <= last
    on conflict do nothing;
    perform set_config('row_security', 'on', true);
    if last is null or at_most is null then
        comment on function voice_worker.bring_auth_users(uuid, bigint) is null;
        return null;
    end if;
    return last;
end
$$;

revoke all on function voice_worker.bring_auth_users(uuid, bigint) from public;
$routine$;

    -- access/calls_taken_part_in.sql
    execute $routine$
-- Calls in which the signed-in user has or had a leg, or was the one called.
--
-- With the owner's rights: a policy that reads legs itself would recurse. Locks: none. Called by:
-- policies, for authenticated and service_role; nobody can name its schema.
create or replace function voice_access.calls_taken_part_in() returns setof uuid
language sql stable security definer set search_path = pg_catalog, pg_temp rows 100 as $$
    select call_id from public.call_participants where user_id = auth.uid()
    union all
    select id from public.voice_calls where callee_id = auth.uid()
$$;

revoke all on function voice_access.calls_taken_part_in() from public;
grant execute on function voice_access.calls_taken_part_in() to authenticated, service_role;
$routine$;

    -- access/count_user_write.sql
    execute $routine$
-- Counts the rows that a user writes in a minute, and raises PT429 above the limit, before the row is
-- stored, so that a refused write takes no space.
--
-- Writes of users are limited, so that one user can't slow down the others. The limits apply to a
-- login that may not update a whole table of calls: signed-in users, also admins; not the worker,
-- service_role or the owner. PostgREST answers PT413 and PT429 with these HTTP statuses.
--
-- bytes: the size of the row. Locks: the user's row in user_writes, so that users wait only for
-- themselves.
-- Called by: the triggers of rows, nobody else.
create or replace function voice_worker.count_user_write(bytes bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    written record;
begin
    insert into voice_worker.user_writes as w (user_id, minute, rows, bytes)
    values (
        coalesce(auth.uid(), '00000000-0000-0000-0000-000000000000'), date_trunc('minute', now()), 1,
        bytes
    )
    on conflict (user_id, minute) do update set rows = w.rows + 1, bytes = w.bytes + excluded.bytes
    returning w.rows, w.bytes into written;
    if exists (
        select from voice_worker.user_limits l
        where written.rows > l.rows_per_minute or written.bytes > l.bytes_per_minute
    ) then
        raise sqlstate 'PT429' using
            message = format(
                'too much in one minute or transaction: %s rows with %s bytes', written.rows,
                written.bytes
            ),
            hint = 'Wait a minute, or have your server write them (service_role).';
    end if;
end
$$;

revoke all on function voice_worker.count_user_write(bigint) from public;
$routine$;

    -- access/enlist.sql
    execute $routine$
-- Gives a login the worker's rights: grants it the role voice_worker, and sets its time limits. The
-- limits belong to the login, because PgBouncer refuses them as start-up parameters of a connection.
--
-- login: a role that inherits the rights granted to it; otherwise error 42704, with the statement that
-- creates one. A second call changes nothing.
-- Neither the login nor its limits are in a dump: call this again after a restore in another cluster.
-- If another database of the cluster has created the roles, only its owner may grant them: otherwise
-- error 42501, with the statements for an administrator (db/roles.sql is a permanent solution).
-- Locks: none. Called by: the owner, who must be allowed to grant voice_worker.
create or replace function voice_worker.enlist(login name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    quoted constant text := '"' || replace(login, '"', '""') || '"';
    step text;
    steps constant text[] := array[
        'grant voice_worker to ' || quoted,
        'alter role ' || quoted || ' set statement_timeout = ''30s''',
        'alter role ' || quoted || ' set lock_timeout = ''5s''',
        'alter role ' || quoted || ' set idle_in_transaction_session_timeout = ''10s'''
    ];
begin
    if not exists (select from pg_catalog.pg_roles where rolname = login and rolinherit) then
        raise exception 'there is no role "%" that inherits the rights granted to it', login
            using errcode = 'undefined_object',
            hint = format('create role %I login inherit password ''...'';', login);
    end if;
    foreach step in array steps loop
        execute step;
    end loop;
exception when insufficient_privilege then
    raise exception 'the login % may not give away the role voice_worker', current_user
        using errcode = 'insufficient_privilege',
        hint = 'Have an administrator run: ' || array_to_string(steps, '; ');
end
$$;

revoke all on function voice_worker.enlist(name) from public;
$routine$;

    -- access/follow_auth_user.sql
    execute $routine$
-- Keeps public.users in step with auth.users, so that a new user can own a call at once.
--
-- Sign-up: inserts a row with id, name and e-mail; an existing row stays unchanged. Change of name or
-- e-mail: writes only that, so that a team's own values stay. Deletion: the row stays, but loses name,
-- e-mail and role, so that calls and figures keep their owner. (To remove it, delete the row: the calls
-- stay, without an owner.) This never sets a role.
-- It never makes a sign-up fail: an e-mail that another row has is omitted, and any other error is a
-- warning in the log of Postgres.
--
-- With the owner's rights: the role that writes auth.users has none to public.users. Locks: the row of
-- users. Called by: the trigger zz_voice_users_trigger (auth_users.sql).
create or replace function voice_worker.follow_auth_user() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    named text;
    mail text;
begin
    if 'auth_users' = any (voice_worker.left_out()) then
        return null;
    end if;
    if tg_op = 'DELETE' then
        update public.users set name = null, email = null, role = 'user' where id = old.id;
        return null;
    end if;
    named := voice_access.name_of(new.raw_user_meta_data);
    mail := nullif(new.email, '');
    if tg_op = 'UPDATE'
        and named is not distinct from voice_access.name_of(old.raw_user_meta_data)
        and new.email is not distinct from old.email
    then
        return null;  -- a sign-in through another provider writes the same again
    end if;
    for attempt in 1..2 loop
        begin
            insert into public.users as u (id, name, email) values (new.id, named, mail)
            on conflict (id) do update set
                name = case
                    when named is distinct from voice_access.name_of(old.raw_user_meta_data) then named
                    else u.name
                end,
                email = case when new.email is distinct from old.email then mail else u.email end
            where tg_op = 'UPDATE';
            exit;
        exception when unique_violation then
            mail := null;
        end;
    end loop;
    return null;
exception when others then
    raise warning 'public.users does not follow auth.users: % (%)', sqlerrm, sqlstate;
    return null;
end
$$;

revoke all on function voice_worker.follow_auth_user() from public;
$routine$;

    -- access/is_admin.sql
    execute $routine$
-- Whether the signed-in user is an admin, by users.role.
--
-- Its schema can't be used by name: policies and views call a function by its oid and need only
-- EXECUTE, so users can read through them but can't call the function. With the owner's rights: a
-- policy that reads users itself would recurse.
-- Locks: none. Called by: policies, for authenticated and service_role.
create or replace function voice_access.is_admin() returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (
        select from public.users where id = auth.uid() and role::text = 'admin'
    )
$$;

revoke all on function voice_access.is_admin() from public;
grant execute on function voice_access.is_admin() to authenticated, service_role;
$routine$;

    -- access/left_out.sql
    execute $routine$
-- The parts for Supabase that a team does not want, as words in this function's own comment:
-- `comment on function voice_worker.left_out() is 'auth_users, voice_messages'`. A setting is not
-- possible: on Supabase nobody may add one to a database. The comment stays when the function is
-- replaced, and is in a dump.
--
-- auth_users: new rows of auth.users get no row in public.users (follow_auth_user). realtime: no table
-- joins supabase_realtime; voice_calls, voice_messages, call_participants: that table does not join it.
-- Locks: none. Called by: the owner, while routines are applied, and follow_auth_user.
create or replace function voice_worker.left_out() returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(
        regexp_split_to_array(
            obj_description('voice_worker.left_out()'::regprocedure, 'pg_proc'), '[^a-z_]+'
        ),
        '{}'
    )
$$;

revoke all on function voice_worker.left_out() from public;
$routine$;

    -- access/name_of.sql
    execute $routine$
-- The name of a user of auth.users, as the user or a sign-in provider gave it.
--
-- told: raw_user_meta_data, which the user may write; only the name is read from it.
-- Locks: none. Result: null if there is none. Called by: follow_auth_user, and the owner.
create or replace function voice_access.name_of(told jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select left(coalesce(nullif(told ->> 'full_name', ''), nullif(told ->> 'name', '')), 255)
$$;

revoke all on function voice_access.name_of(jsonb) from public;
$routine$;

    -- access/user_exists.sql
    execute $routine$
-- Whether an id is a user's. The worker can read only this and user_is_admin about users.
--
-- candidate: the id. Locks: none. With the owner's rights. Called by: voice_worker.
create or replace function voice_worker.user_exists(candidate uuid) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (select from public.users where id = candidate)
$$;

revoke all on function voice_worker.user_exists(uuid) from public;
grant execute on function voice_worker.user_exists(uuid) to voice_worker;
$routine$;

    -- access/user_is_admin.sql
    execute $routine$
-- Whether an id is an admin's. The worker can read only this and user_exists about users.
--
-- candidate: the id. Locks: none. With the owner's rights. Called by: voice_worker.
create or replace function voice_worker.user_is_admin(candidate uuid) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (select from public.users where id = candidate and role::text = 'admin')
$$;

revoke all on function voice_worker.user_is_admin(uuid) from public;
grant execute on function voice_worker.user_is_admin(uuid) to voice_worker;
$routine$;

    -- access/users_are_ours.sql
    execute $routine$
-- Whether public.users is our own table, which 100_tables.sql creates if there is none. A team's own
-- table is not touched. Ours is recognized by its columns, and by row level security with no policies
-- but ours.
--
-- Locks: none. Called by: the owner, while routines are applied.
create or replace function voice_access.users_are_ours() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select c.relrowsecurity
        and not exists (
            select from pg_policy where polrelid = c.oid
                and polname not in ('users_select_own', 'users_service_all')
        )
        and (
            select array_agg(attname || ' ' || format_type(atttypid, atttypmod) order by attnum)
            from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
        ) = array[
            'id uuid', 'name character varying(255)', 'email character varying(255)',
            'role character varying(50)'
        ]
    from pg_class c where c.oid = 'public.users'::regclass
$$;

revoke all on function voice_access.users_are_ours() from public;
$routine$;

    -- access/uuid_v7.sql
    execute $routine$
-- Time-ordered ids, so that rows of the same time are close in the index. This function is the same on
-- every version of Postgres, although 18 has its own.
--
-- Locks: none. Result: a UUID of version 7, with the clock's milliseconds. Called by: authenticated,
-- service_role, voice_worker, since the default of a column runs with the rights of the inserter.
create or replace function voice_worker.uuid_v7() returns uuid
language sql volatile parallel safe as $$
    select encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    placing substring(
                        int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3
                    )
                    from 1 for 6
                ),
                52, 1
            ),
            53, 1
        ),
        'hex'
    )::uuid
$$;

revoke all on function voice_worker.uuid_v7() from public;
grant execute on function voice_worker.uuid_v7() to authenticated, service_role, voice_worker;
$routine$;

    -- access/visible_user.sql
    execute $routine$
-- Name and e-mail of a user, shown to that user, to admins, and to roles that bypass row level security
-- anyway (the owner of users, service_role). The setting "role" still names the caller in here.
--
-- of_user: the user. Locks: none. Result: one row, or none. With the owner's rights. Called by: views
-- and figures, for authenticated, service_role and voice_reader; nobody can name its schema.
create or replace function voice_access.visible_user(of_user uuid)
returns table (name text, email text)
language sql stable security definer set search_path = pg_catalog, pg_temp rows 1 as $$
    select u.name::text, u.email::text
    from public.users u
    where u.id = of_user and (
        u.id = auth.uid()
        or voice_access.is_admin()
        or exists (
            select from pg_catalog.pg_roles r, pg_catalog.pg_class c
            where c.oid = 'public.users'::regclass
            and r.rolname = coalesce(nullif(current_setting('role'), 'none'), session_user)
            and (
                r.rolsuper or r.rolbypassrls or r.oid = c.relowner or r.rolname = 'service_role'
            )
        )
    )
$$;

revoke all on function voice_access.visible_user(uuid) from public;
grant execute on function voice_access.visible_user(uuid) to authenticated, service_role, voice_reader;
$routine$;

    -- batch/apply_batch.sql
    execute $routine$
-- Applies one batch of events. A worker stores calls only with this statement, so that no lock ever
-- waits for a second message from a dead worker. Applying a batch again changes nothing.
--
-- batch: {"calls": [...], "legs": [...], "messages": [...], "usage": [...]}. Each row of the last
-- three has "call", the key of its call, and a revision; a field that is missing has its default.
-- Locks: the rows of its calls first, in the order of their ids, so that two batches over the same
-- calls cannot deadlock; then only rows of those calls. Waits for another session that holds one of
-- them, as long as the login's lock_timeout allows.
-- Result: {"call_ids": {key: id}}. The id is null if the call's owner has deleted it: then only its
-- usage is counted.
-- Errors: 40001 if a call could not be claimed in five attempts (try again); a row causes any other
-- error.
-- Runs with the caller's rights, under the policies of voice_worker. Called by: voice_worker.
create or replace function voice_worker.apply_batch(batch jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids jsonb := '{}';
    legs jsonb := batch -> 'legs';
    messages jsonb := batch -> 'messages';
    usage jsonb := batch -> 'usage';
    own uuid[];
    ended uuid[];
    c jsonb;
    target uuid;
    deleted boolean := false;
begin
    perform set_config('voice_worker.applying', 'on', true);
    -- What is answered as stored is removed from the worker's disk: it must be on this one.
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    -- All locks first and in one order, so that two batches over the same calls cannot deadlock. Found
    -- first: joined to a function of unknown size, the table would be read whole.
    own := array(
        select voice_worker.find_call(
            r.room_sid, r.key, r.call_id, r.session_id, r.room_created_at
        )
        from jsonb_to_recordset(batch -> 'calls') as r (
            room_sid text, key uuid, call_id uuid, session_id text, room_created_at timestamptz
        )
    );
    perform from public.voice_calls where id = any (own) order by id for no key update;
    own := '{}';
    for c in select value from jsonb_array_elements(batch -> 'calls') loop
        target := voice_worker.claim_call(c);
        ids := ids || jsonb_build_object(c ->> 'key', target);
        own := own || target;
        deleted := deleted or target is null;
    end loop;
    if exists (
        select from voice_worker.deleted_rows d where d.call_id is null or d.call_id = any (own)
    ) then
        legs := voice_worker.not_deleted(legs);
        messages := voice_worker.not_deleted(messages);
        usage := voice_worker.not_deleted(usage);
    end if;
    perform voice_worker.clear_ids(ids, legs, messages);
    -- Only what there is: most batches are of one event, and a column that a later migration brings
    -- holds no call back without it.
    if legs <> '[]' then
        perform voice_worker.apply_legs(ids, legs);
    end if;
    if messages <> '[]' then
        perform voice_worker.apply_messages(ids, messages);
    end if;
    if usage <> '[]' then
        perform voice_worker.apply_usage(ids, usage);
        if deleted then
            perform voice_worker.apply_deleted_usage(ids, usage);
        end if;
    end if;
    for c in select value from jsonb_array_elements(batch -> 'calls') loop
        perform voice_worker.progress_call((ids ->> (c ->> 'key'))::uuid, c);
    end loop;
    ended := array(
        select v.id from public.voice_calls v
        where v.id = any (own) and (v.ended_at is not null or v.status in ('completed', 'failed'))
    );
    -- In every batch, not only in that of the end: a leg can be told after it.
    if cardinality(ended) > 0 then
        perform voice_worker.close_legs(ids, batch -> 'calls');
    end if;
    if legs <> '[]' then
        -- A call that no front end made belongs to the first user who was in it.
        update public.voice_calls v set user_id = first.user_id
        from (
            select distinct on (p.call_id) p.call_id, p.user_id
            from jsonb_to_recordset(legs) as r (call text, id uuid)
            join public.call_participants p on p.id = r.id
            where p.user_id is not null and p.call_id = (ids ->> r.call)::uuid
            order by p.call_id, p.joined_at, p.id
        ) first
        where v.id = first.call_id and v.user_id is null;
        perform voice_worker.note_phone_calls(ids, legs);
    end if;
    -- Whatever a batch tells of a call that has ended may change its transcript.
    if cardinality(ended) > 0 then
        perform voice_worker.write_transcripts(ended);
    end if;
    perform set_config('voice_worker.applying', 'off', true);
    return jsonb_build_object('call_ids', ids);
end
$$;

revoke all on function voice_worker.apply_batch(jsonb) from public;
grant execute on function voice_worker.apply_batch(jsonb) to voice_worker;
$routine$;

    -- batch/claim_call.sql
    execute $routine$
-- Inserts the row of a call, or claims the existing one.
--
-- c: the call in the batch: key, room_sid, session_id, taken_session_id (the name to use if
-- session_id is taken), call_id (the row that the front end named), job_id, at, room_created_at,
-- worker_id, agent_identity, metadata.
-- Locks: the call's row.
-- Result: its id; null if the owner of the call has deleted it. Error 40001 after five attempts in
-- which another session claimed the row first. Called by: voice_worker.
create or replace function voice_worker.claim_call(c jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sid constant text := c ->> 'room_sid';
    own_key constant uuid := (c ->> 'key')::uuid;
    named constant uuid := (c ->> 'call_id')::uuid;
    started constant timestamptz := (c ->> 'at')::timestamptz;
    target uuid;
begin
    for attempt in 1 .. 5 loop
        target := voice_worker.find_call(
            sid, own_key, named, c ->> 'session_id', (c ->> 'room_created_at')::timestamptz
        );
        if target is null then
            if voice_worker.was_deleted(sid, own_key, named) then
                return null;
            end if;
            insert into public.voice_calls (
                id, session_id, room_name, room_sid, started_at, ai_agent_used, agent_identity,
                job_id, job_started_at, worker_id, metadata
            )
            select
                -- A row that somebody made under our key is not ours.
                case when exists (select from public.voice_calls where id = own_key)
                    then voice_worker.uuid_v7() else own_key end,
                names.session_id, names.room_name, sid, started, true,
                left(c ->> 'agent_identity', 255), c ->> 'job_id', started, (c ->> 'worker_id')::uuid,
                coalesce(c -> 'metadata', '{}')
            from (
                select
                    -- Anybody who knows a room's sid can take its name@sid too. Nobody knows the
                    -- key: one call must never keep all the others from being stored.
                    (
                        select n.name
                        from (values
                            (1, c ->> 'session_id'), (2, c ->> 'taken_session_id'),
                            (3, own_key::text)
                        ) n (place, name)
                        where not exists (
                            select from public.voice_calls v where v.session_id = n.name
                            -- Such a row gives the name up (free_name).
                            and (
                                v.room_sid is not null or v.worker_id is not null
                                or v.made_by <> 'authenticated'
                            )
                        )
                        order by n.place limit 1
                    ) as session_id,
                    c ->> 'session_id' as room_name
            ) names
            on conflict do nothing
            returning id into target;
        elsif not voice_worker.take_call(target, c) then
            target := null;  -- claimed once: whoever else had found the same free row finds it taken
        end if;
        if target is not null then
            return target;
        end if;
    end loop;
    raise exception 'call of room % could not be claimed', sid using errcode = 'serialization_failure';
end
$$;

revoke all on function voice_worker.claim_call(jsonb) from public;
grant execute on function voice_worker.claim_call(jsonb) to voice_worker;
$routine$;

    -- batch/clear_ids.sql
    execute $routine$
-- Gives a new id to a leg or message of another call that has the same id as one in the batch.
-- Otherwise a user who knows an id of the recorder could use it first, and our row would be stored in
-- that user's call. The other row stays in its call.
--
-- ids: {key: id of the call}. legs, messages: those of the batch.
-- Locks: the rows that get another id. Called by: voice_worker.
create or replace function voice_worker.clear_ids(ids jsonb, legs jsonb, messages jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
-- A plan that was made while the table was small, or unknown, stays with the session.
set enable_seqscan = off as $$
declare
    taken uuid[];
begin
    if legs <> '[]' then
        select array_agg(r.id) into taken
        from jsonb_to_recordset(legs) as r (id uuid, call text)
        where (select p.call_id from public.call_participants p where p.id = r.id)
            <> (ids ->> r.call)::uuid;
        if taken is not null then
            update public.call_participants set id = voice_worker.uuid_v7() where id = any (taken);
        end if;
    end if;
    if messages <> '[]' then
        select array_agg(r.id) into taken
        from jsonb_to_recordset(messages) as r (id uuid, call text)
        where (select m.call_id from public.voice_messages m where m.id = r.id)
            <> (ids ->> r.call)::uuid;
        if taken is not null then
            update public.voice_messages set id = voice_worker.uuid_v7() where id = any (taken);
        end if;
    end if;
end
$$;

revoke all on function voice_worker.clear_ids(jsonb, jsonb, jsonb) from public;
grant execute on function voice_worker.clear_ids(jsonb, jsonb, jsonb) to voice_worker;
$routine$;

    -- batch/find_call.sql
    execute $routine$
-- Finds the existing row of a job's call:
-- 1. the row of this very room session;
-- 2. the row that the front end named by callId;
-- 3. the row whose session_id is the room's name.
-- 2 and 3 apply only if no other room session has claimed the row, and it had not ended before our room
-- was created (a swept row counts as not ended). They never apply to a call that its owner has deleted:
-- its late events must not be stored in the next call with the same name. 3 never applies to a row that
-- a user created: the user could choose the name of another person's room and be given its call. Only
-- the server that signs callId can assign a call to such a row.
--
-- wanted_sid, wanted_session, room_made: LiveKit's id, name and time of the room. own_key: the
-- recorder's key of the call. named: the id that the front end gave, or null.
-- Locks: none. Result: the row's id, or null. Called by: voice_worker.
create or replace function voice_worker.find_call(
    wanted_sid text, own_key uuid, named uuid, wanted_session text, room_made timestamptz
) returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    found_id uuid;
begin
    select id into found_id from public.voice_calls where room_sid = wanted_sid;
    if found_id is null and voice_worker.was_deleted(wanted_sid, own_key, named) then
        return null;
    end if;
    if found_id is null and named is not null then
        select id into found_id from public.voice_calls
        where id = named and room_sid is null
        and (
            ended_at is null or room_made is null or ended_at >= room_made
            or voice_worker.is_swept(status, end_reason, ended_at, swept_at)
        );
    end if;
    if found_id is null then
        select id into found_id from public.voice_calls
        where session_id = wanted_session and room_sid is null
        and (
            ended_at is null or room_made is null or ended_at >= room_made
            or voice_worker.is_swept(status, end_reason, ended_at, swept_at)
        )
        and made_by <> 'authenticated';
    end if;
    return found_id;
end
$$;

revoke all on function voice_worker.find_call(text, uuid, uuid, text, timestamptz) from public;
grant execute on function voice_worker.find_call(text, uuid, uuid, text, timestamptz) to voice_worker;
$routine$;

    -- batch/give_name_back.sql
    execute $routine$
-- Restores a call's name after another row had taken it (free_name); the call of the room has the right
-- to the name. If a call holds it rightfully, or another session takes it right now, the row keeps its
-- other name: no call is lost for a name.
--
-- target: the claimed row. name: the name of its room. Locks: as free_name. Called by: voice_worker,
-- by take_call.
create or replace function voice_worker.give_name_back(target uuid, name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform voice_worker.free_name(name, null);
    update public.voice_calls set session_id = name where id = target;
exception when unique_violation then
    null;
end
$$;

revoke all on function voice_worker.give_name_back(uuid, text) from public;
grant execute on function voice_worker.give_name_back(uuid, text) to voice_worker;
$routine$;

    -- batch/is_swept.sql
    execute $routine$
-- Whether a sweep wrote a call's end, and nothing has replaced it. Such an end is a guess: the job's
-- own events, or an end from a front end, replace it.
--
-- Arguments: the columns of the same names. Locks: none. Result: true or false, never null. Called by:
-- voice_worker. A trigger that runs for a front end (block_reopen) repeats the condition, because a
-- front end may not call this.
create or replace function voice_worker.is_swept(
    status public.call_status, end_reason text, ended_at timestamptz, swept_at timestamptz
) returns boolean
language sql immutable parallel safe as $$
    select coalesce(
        status = 'failed' and end_reason in ('worker_lost', 'not_served') and ended_at = swept_at,
        false
    )
$$;

revoke all on function voice_worker.is_swept(public.call_status, text, timestamptz, timestamptz)
    from public;
grant execute on function voice_worker.is_swept(public.call_status, text, timestamptz, timestamptz)
    to voice_worker;
$routine$;

    -- batch/not_deleted.sql
    execute $routine$
-- Rows of a batch without those that were deleted while their call continued: neither their next
-- revision nor a leftover file restores them.
--
-- rows: legs or messages of a batch. Locks: none. Result: the rest, in the same order. Called by:
-- voice_worker.
create or replace function voice_worker.not_deleted(rows jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case when exists (select from voice_worker.deleted_rows) then (
        select coalesce(jsonb_agg(r order by place), '[]')
        from jsonb_array_elements(rows) with ordinality as e (r, place)
        where not exists (
            select from voice_worker.deleted_rows d where d.id = (r ->> 'id')::uuid
        )
    ) else rows end
$$;

revoke all on function voice_worker.not_deleted(jsonb) from public;
grant execute on function voice_worker.not_deleted(jsonb) to voice_worker;
$routine$;

    -- batch/progress_call.sql
    execute $routine$
-- Writes the connect and the end of a call in one update, because each update of a call's row also
-- updates indexes and fires triggers.
--
-- Only the job that holds the row writes the end, and only if the call has not ended or was swept; a
-- call that has ended gets only the reason, if it has none. A call's ledger covers all of its jobs: a
-- job that died leaves gaps, even if another job ends the call. A second time, nothing changes.
--
-- target: the row, null if it was deleted (nothing is done). c: the call in the batch: job_id,
-- connected_at, ended_at, end_status, end_reason, end_detail, usage_complete (null: unknown),
-- usage_gaps.
-- Locks: the call's row. Called by: voice_worker.
create or replace function voice_worker.progress_call(target uuid, c jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    connected constant timestamptz := (c ->> 'connected_at')::timestamptz;
    ended constant timestamptz := (c ->> 'ended_at')::timestamptz;
    detail constant jsonb := coalesce(c -> 'end_detail', '{}');
    complete constant boolean := case when ended is not null then (c ->> 'usage_complete')::boolean end;
    v public.voice_calls;
    w public.voice_calls;
    mine boolean;
begin
    if connected is null and ended is null then
        return;
    end if;
    select * into v from public.voice_calls where id = target for no key update;
    if not found then
        return;
    end if;
    w := v;
    if connected is not null then
        w.connected_at := coalesce(v.connected_at, connected);
        w.status := case when v.status = 'pending' then 'active' else v.status end;
    end if;
    mine := ended is not null and v.job_id = c ->> 'job_id';
    if mine and (
        w.status in ('pending', 'active')
        or (v.status = 'failed' and v.end_reason = 'worker_lost' and v.ended_at = v.swept_at)
    ) then
        w.status := c ->> 'end_status';
        w.ended_at := ended;
        w.end_reason := c ->> 'end_reason';
        if detail <> '{}' then
            w.metadata := coalesce(v.metadata, '{}') || jsonb_build_object('end', detail);
        end if;
    elsif mine and w.status in ('completed', 'failed') then
        w.end_reason := coalesce(v.end_reason, c ->> 'end_reason');
    end if;
    if complete is not null then
        -- Complete, or with gaps: a job has told before.
        w.usage_complete := complete and (v.usage_complete or v.usage_gaps is null);
        if not complete or v.usage_gaps is not null then
            w.usage_gaps := array(
                select unnest(coalesce(v.usage_gaps, '{}'))
                union
                select jsonb_array_elements_text(coalesce(c -> 'usage_gaps', '[]'))
                order by 1
            );
        end if;
    end if;
    if w is distinct from v then
        update public.voice_calls set
            connected_at = w.connected_at, status = w.status, ended_at = w.ended_at,
            end_reason = w.end_reason, metadata = w.metadata,
            usage_complete = w.usage_complete, usage_gaps = w.usage_gaps
        where id = target;
    end if;
end
$$;

revoke all on function voice_worker.progress_call(uuid, jsonb) from public;
grant execute on function voice_worker.progress_call(uuid, jsonb) to voice_worker;
$routine$;

    -- batch/take_call.sql
    execute $routine$
-- Claims a row for a job: a free row, or that of an older job in the same room session. Reopens a call
-- that a sweep has ended, also for the job that already holds it. Legs that the sweep closed are
-- reopened, unless a newer job joined: that job records its own legs.
--
-- target: the row. c: the call in the batch, with room_sid, job_id, at, worker_id, agent_identity,
-- metadata.
-- Locks: the row, even if nothing changes, because apply_messages relies on it; the row that has to
-- give up the name. Result: false if the row now belongs to another room session, or was deleted.
-- Called by: voice_worker.
create or replace function voice_worker.take_call(target uuid, c jsonb) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sid constant text := c ->> 'room_sid';
    started constant timestamptz := (c ->> 'at')::timestamptz;
    was record;
    taken_over boolean;
begin
    -- Locked also if nothing changes: apply_messages counts on it.
    select
        o.job_id, o.job_started_at, o.end_reason,
        voice_worker.is_swept(o.status, o.end_reason, o.ended_at, o.swept_at) as swept,
        o.status = 'failed' and o.end_reason in ('worker_crashed', 'worker_lost') as died,
        o.made_by = 'authenticated'
            and starts_with(o.session_id, left(c ->> 'session_id', 218) || '@') as name_taken
    into was from public.voice_calls o
    where o.id = target and (o.room_sid is null or o.room_sid = sid)
    for no key update;
    if not found then
        return false;
    end if;
    taken_over := coalesce(was.job_started_at < started, true);
    if taken_over then
        update public.voice_calls v set
            room_sid = sid,
            started_at = coalesce(v.started_at, started),
            ai_agent_used = true,
            agent_identity = left(c ->> 'agent_identity', 255),
            job_id = c ->> 'job_id',
            job_started_at = started,
            worker_id = (c ->> 'worker_id')::uuid,
            metadata = coalesce(v.metadata, '{}') || coalesce(c -> 'metadata', '{}')
        where v.id = target;
        if was.name_taken then
            perform voice_worker.give_name_back(target, c ->> 'session_id');
        end if;
    end if;
    if (taken_over and (was.swept or was.died)) or (was.swept and was.job_id = c ->> 'job_id') then
        update public.voice_calls v set
            status = (
                case when v.connected_at is null then 'pending' else 'active' end
            )::public.call_status,
            ended_at = null, end_reason = null, swept_at = null
        where v.id = target;
        if not taken_over or was.end_reason = 'not_served' then
            update public.call_participants p set left_at = null, closed_by_sweep = false
            where p.call_id = target and p.closed_by_sweep;
        end if;
    end if;
    return true;
end
$$;

revoke all on function voice_worker.take_call(uuid, jsonb) from public;
grant execute on function voice_worker.take_call(uuid, jsonb) to voice_worker;
$routine$;

    -- batch/was_deleted.sql
    execute $routine$
-- Whether the owner of a call has deleted it, so that its late events are discarded.
--
-- wanted_sid: LiveKit's id of the room session. named: id of the row that a front end named, or null.
-- own_key is ignored: any user can create such a tombstone, by creating a call with that id and deleting
-- it. It stays an argument because a routine whose arguments change needs a new name.
-- Locks: none. Result: true or false. Called by: voice_worker.
create or replace function voice_worker.was_deleted(
    wanted_sid text, own_key uuid, named uuid
) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (
        select from voice_worker.tombstones
        where room_sid = wanted_sid or call_id = named
    )
$$;

revoke all on function voice_worker.was_deleted(text, uuid, uuid) from public;
grant execute on function voice_worker.was_deleted(text, uuid, uuid) to voice_worker;
$routine$;

    -- calls/add_tokens.sql
    execute $routine$
-- Adds to total_tokens_used of calls, at a cost that does not grow with the call. The total stops at
-- the largest int, and at 0, instead of rejecting the row.
--
-- calls, tokens: two arrays of the same length; each call is in it once.
-- Locks: the rows of the calls, in the order of their ids, so that two statements cannot deadlock.
-- Called by the triggers of voice_messages, nobody else.
create or replace function voice_worker.add_tokens(calls uuid[], tokens bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform from public.voice_calls where id = any (calls) order by id for no key update;
    update public.voice_calls c
    set total_tokens_used = least(2147483647, greatest(0, c.total_tokens_used + d.tokens))
    from unnest(calls, tokens) as d (call_id, tokens)
    where c.id = d.call_id;
end
$$;

revoke all on function voice_worker.add_tokens(uuid[], bigint[]) from public;
$routine$;

    -- calls/free_name.sql
    execute $routine$
-- Takes a name (session_id) from a row that has no right to it: one that a user created, and that no
-- room session has claimed. A user who takes the name of another person's next call therefore blocks
-- nobody: that row is renamed to name@ and an unpredictable id.
--
-- name: the name that is needed. for_user: a row of this user keeps the name; null for none.
-- Locks: the row that is renamed. Called by: voice_worker, and the trigger.
create or replace function voice_worker.free_name(name text, for_user uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.voice_calls v
    set session_id = left(v.session_id, 218) || '@' || voice_worker.uuid_v7()
    where v.session_id = name and v.room_sid is null and v.worker_id is null
        and v.made_by = 'authenticated' and (for_user is null or v.user_id is distinct from for_user)
$$;

revoke all on function voice_worker.free_name(text, uuid) from public;
grant execute on function voice_worker.free_name(text, uuid) to voice_worker;
$routine$;

    -- calls/recount_calls.sql
    execute $routine$
-- Recomputes total_tokens_used, cost and unpriced_requests of calls from their turns and requests, for
-- one span of ids; the caller continues with the next span. Needed after rows were loaded without
-- triggers, or prices have changed.
--
-- after_id: where the last span ended. size: how many calls to check.
-- A call without turns and requests keeps its tokens: such calls were adopted.
-- Locks: the rows of these calls, in the order of their ids, for one span only; a session that adds to
-- them waits, and adds to the correct sum. Result: last_id (null at the end), changed. Called by:
-- service_role, the owner.
create or replace function voice_worker.recount_calls(
    after_id uuid, size int, out last_id uuid, out changed int
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
begin
    select array_agg(c.id order by c.id) into ids from (
        select id from public.voice_calls where id > after_id order by id limit size
    ) c;
    last_id := ids[cardinality(ids)];
    perform from public.voice_calls where id = any (ids) order by id for no key update;
    update public.voice_calls c set
        total_tokens_used = s.tokens, cost = s.cost, unpriced_requests = s.unpriced
    from (
        select
            v.id, u.cost, u.unpriced,
            case when m.turns + u.requests > 0
                then least(2147483647, greatest(0, m.tokens + u.tokens))
                else v.total_tokens_used end::int as tokens
        from public.voice_calls v
        cross join lateral (
            select count(*) as turns, coalesce(sum(tokens_used), 0) as tokens
            from public.voice_messages where call_id = v.id
        ) m
        cross join lateral (
            select
                count(*) as requests, sum(r.cost) as cost,
                (count(*) - count(r.cost))::int as unpriced,
                coalesce(sum(voice_worker.call_tokens(r.message_id, r.kind, r.total_tokens)), 0)
                    as tokens
            from public.voice_usage r where r.call_id = v.id
        ) u
        where v.id = any (ids)
    ) s
    where c.id = s.id and (c.total_tokens_used, c.cost, c.unpriced_requests)
        is distinct from (s.tokens, s.cost, s.unpriced);
    get diagnostics changed = row_count;
end
$$;

revoke all on function voice_worker.recount_calls(uuid, int) from public;
grant execute on function voice_worker.recount_calls(uuid, int) to service_role;
$routine$;

    -- calls/transcript_of.sql
    execute $routine$
-- The transcript of a call: "[minutes:seconds] who: what", one line per turn, in the order in which the
-- turns were spoken. Seconds count from the connect. A caller with the agent's name is "Caller", and so
-- is a caller by phone, whose name is a number. An agent without a name is "Agent".
--
-- It has at most 256 KiB of text, and at most 16,384 characters per turn; the rest is omitted, with a
-- last line "[...]". Text that users wrote, which nobody heard, is omitted first. So its cost is
-- limited, whatever users write into the call.
--
-- of_call: the call. Locks: none. Result: the text, null if nothing was said. Called by: voice_worker,
-- and triggers.
create or replace function voice_worker.transcript_of(of_call uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with names as materialized (
        select distinct on (p.participant_identity)
            p.participant_identity as identity, p.participant_type = 'agent' as is_agent,
            voice_worker.on_one_line(translate(p.participant_name, ':', ' ')) as name
        from public.call_participants p
        -- By phone the name is a number, which stands in the leg alone.
        where p.call_id = of_call and p.kind <> 'sip'
        order by p.participant_identity, p.joined_at desc
    ),
    turns as materialized (
        select
            m.id, coalesce(m.speech_started_at, m.timestamp) as at,
            -- The size is known without reading the words: a character has four bytes at most. Of two
            -- sessions that talk at once each commits its turns when it likes, so "at" comes first.
            sum(least(octet_length(m.content), 65536)) over (
                order by m.revision = 0, coalesce(m.speech_started_at, m.timestamp), m.timestamp,
                    m.sequence_number
                rows unbounded preceding
            ) as bytes
        from public.voice_messages m
        where m.call_id = of_call and m.role in ('user', 'assistant')
    ),
    said as materialized (
        select
            m.timestamp, m.sequence_number, m.interrupted, m.role, t.at,
            voice_worker.on_one_line(left(m.content, 16384)) as content,
            -- A caller who goes by the agent's name is a caller.
            case when m.role = 'assistant' or lower(n.name) not in (
                select lower(a.name) from names a where a.is_agent and a.name is not null
                union all select 'agent'
            ) then nullif(n.name, '') end as name,
            greatest(0, floor(extract(epoch from
                t.at - coalesce(v.connected_at, v.started_at, v.created_at)
            )))::bigint as second
        from turns t
        join public.voice_messages m on m.id = t.id
        join public.voice_calls v on v.id = of_call
        left join names n on n.identity = m.participant_identity
        where t.bytes <= 262144
    )
    select string_agg(
        format(
            '[%s%s:%s] %s: %s%s',
            case when s.second < 600 then '0' else '' end, s.second / 60,
            lpad((s.second % 60)::text, 2, '0'),
            coalesce(s.name, case s.role when 'user' then 'Caller' else 'Agent' end),
            s.content, case when s.interrupted then ' (interrupted)' else '' end
        ), E'\n' order by s.at, s.timestamp, s.sequence_number
    ) || case when exists (select from turns t where t.bytes > 262144) then E'\n[...]' else '' end
    from said s
    where s.content <> ''
$$;

revoke all on function voice_worker.transcript_of(uuid) from public;
grant execute on function voice_worker.transcript_of(uuid) to voice_worker;
$routine$;

    -- calls/write_transcripts.sql
    execute $routine$
-- Writes voice_calls.transcript of those of these calls that have ended: what was heard, one line per
-- turn. A transcript that another writer has changed stays: its md5 differs from transcript_digest.
--
-- calls: their ids. Locks: the rows of the calls whose transcript changes. Called by: voice_worker,
-- and triggers.
create or replace function voice_worker.write_transcripts(calls uuid[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    with written as materialized (
        select c.id, voice_worker.transcript_of(c.id) as text
        from public.voice_calls c
        where c.id = any (calls) and c.status in ('completed', 'failed')
            and md5(c.transcript) is not distinct from c.transcript_digest
    )
    update public.voice_calls v set
        transcript = w.text, transcript_digest = md5(w.text)
    from written w
    where v.id = w.id and v.transcript is distinct from w.text
$$;

revoke all on function voice_worker.write_transcripts(uuid[]) from public;
grant execute on function voice_worker.write_transcripts(uuid[]) to voice_worker;
$routine$;

    -- figures/recount_latency.sql
    execute $routine$
-- Makes voice_worker.latency_totals equal to the turns that the worker wrote: needed after rows were
-- loaded, or a table emptied, without triggers, or with both triggers and totals.
--
-- It adds what is missing, in one snapshot, as recount_usage does: right beside any load.
-- Locks: none that a writer waits for; a second recount waits. Called by: the owner.
create or replace procedure voice_worker.recount_latency()
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(hashtext('voice_worker'), hashtext('recount_latency'));
    insert into voice_worker.latency_totals as t
    select
        d.quarter_hour, d.model, -1, sum(d.transcription), sum(d.end_of_turn),
        sum(d.turn_completed), sum(d.first_token), sum(d.first_sentence), sum(d.first_audio),
        sum(d.playout), sum(d.end_to_end)
    from (
        select
            date_bin('15 minutes', m.timestamp, 'epoch') as quarter_hour, m.model_used as model,
            sum(voice_access.latency_mark(m.transcription_delay_ms, w -> 'transcription_delay_ms'))
                as transcription,
            sum(voice_access.latency_mark(m.end_of_turn_delay_ms, w -> 'end_of_turn_delay_ms'))
                as end_of_turn,
            sum(voice_access.latency_mark(
                m.turn_completed_delay_ms, w -> 'turn_completed_delay_ms'
            )) as turn_completed,
            sum(voice_access.latency_mark(m.llm_ttft_ms, w -> 'llm_ttft_ms')) as first_token,
            sum(voice_access.latency_mark(m.first_sentence_ms, w -> 'first_sentence_ms'))
                as first_sentence,
            sum(voice_access.latency_mark(m.tts_ttfb_ms, w -> 'tts_ttfb_ms')) as first_audio,
            sum(voice_access.latency_mark(m.playout_delay_ms, w -> 'playout_delay_ms')) as playout,
            sum(voice_access.latency_mark(m.e2e_latency_ms, w -> 'e2e_latency_ms')) as end_to_end
        from public.voice_messages m
        cross join lateral (select m.metadata -> 'implausible') as i (w)
        where m.role in ('user', 'assistant') and m.revision > 0 and (
            w is not null
            or num_nonnulls(
                m.transcription_delay_ms, m.end_of_turn_delay_ms, m.turn_completed_delay_ms,
                m.llm_ttft_ms, m.first_sentence_ms, m.tts_ttfb_ms, m.playout_delay_ms,
                m.e2e_latency_ms
            ) > 0
        )
        group by 1, 2
        union all
        select
            quarter_hour, model, -transcription, -end_of_turn, -turn_completed, -first_token,
            -first_sentence, -first_audio, -playout, -end_to_end
        from voice_worker.latency_totals
    ) d
    group by 1, 2
    having (
        sum(d.transcription), sum(d.end_of_turn), sum(d.turn_completed), sum(d.first_token),
        sum(d.first_sentence), sum(d.first_audio), sum(d.playout), sum(d.end_to_end)
    ) <> (0, 0, 0, 0, 0, 0, 0, 0)
    order by 1, 2  -- so that a span's rows lie together
    on conflict (quarter_hour, model, slot) do update set
        transcription = t.transcription + excluded.transcription,
        end_of_turn = t.end_of_turn + excluded.end_of_turn,
        turn_completed = t.turn_completed + excluded.turn_completed,
        first_token = t.first_token + excluded.first_token,
        first_sentence = t.first_sentence + excluded.first_sentence,
        first_audio = t.first_audio + excluded.first_audio,
        playout = t.playout + excluded.playout,
        end_to_end = t.end_to_end + excluded.end_to_end;
end
$$;

revoke all on procedure voice_worker.recount_latency() from public;
$routine$;

    -- figures/whose_figures.sql
    execute $routine$
-- Whose figures to return: a user's id, or null for everybody's. A signed-in user who is not an admin
-- gets their own figures: everybody's would return the same rows, but would scan all others too.
--
-- of_user: the user that was asked for, or null. Locks: none. Called by: authenticated, service_role,
-- voice_reader, inside the functions of figures; nobody can name its schema.
create or replace function voice_access.whose_figures(of_user uuid) returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case
        when of_user is null
            and coalesce(nullif(current_setting('role'), 'none'), session_user) = 'authenticated'
            and not voice_access.is_admin()
        then auth.uid()
        else of_user
    end
$$;

revoke all on function voice_access.whose_figures(uuid) from public;
grant execute on function voice_access.whose_figures(uuid) to authenticated, service_role, voice_reader;
$routine$;

    -- legs/apply_legs.sql
    execute $routine$
-- Stores the legs of a batch: new ones, and newer revisions of those that are there.
--
-- ids: {key: id of the call}; legs of a call without an id are left out. legs: those of the batch. A
-- user_id that is nobody's (any more) is kept in metadata.userId and is no error.
-- Locks: the legs that change; their calls are locked by apply_batch. Called by: voice_worker.
create or replace function voice_worker.apply_legs(ids jsonb, legs jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into public.call_participants as p (
        id, call_id, user_id, participant_identity, participant_name, participant_type, kind,
        participant_sid, joined_at, left_at, disconnect_reason, is_muted, direction, answered_at,
        metadata, revision
    )
    select
        r.id, (ids ->> r.call)::uuid,
        case when voice_worker.user_exists(r.user_id) then r.user_id end,
        left(r.identity, 255), nullif(left(r.name, 255), ''),
        case when coalesce(r.participant_type, 'user') <> 'user' then r.participant_type
            when voice_worker.user_is_admin(r.user_id) then 'admin' else 'user' end,
        coalesce(r.kind, 'standard'), coalesce(r.sid, ''), r.joined_at, r.left_at,
        r.disconnect_reason, coalesce(r.is_muted, false), r.direction, r.answered_at,
        -- An id that is no user's (any more) is kept, never an error.
        case when r.user_id is null or voice_worker.user_exists(r.user_id)
            then coalesce(r.metadata, '{}')
            else coalesce(r.metadata, '{}') || jsonb_build_object('userId', r.user_id) end,
        r.revision
    from jsonb_to_recordset(legs) as r (
        id uuid, call text, user_id uuid, identity text, name text, participant_type text,
        kind text, sid text, joined_at timestamptz, left_at timestamptz, disconnect_reason text,
        is_muted boolean, direction text, answered_at timestamptz, metadata jsonb, revision bigint
    )
    where ids ->> r.call is not null
    on conflict (id) do update set
        user_id = excluded.user_id,
        participant_identity = excluded.participant_identity,
        participant_name = excluded.participant_name,
        participant_type = excluded.participant_type,
        kind = excluded.kind,
        participant_sid = excluded.participant_sid,
        joined_at = excluded.joined_at,
        left_at = excluded.left_at,
        disconnect_reason = excluded.disconnect_reason,
        is_muted = excluded.is_muted,
        direction = excluded.direction,
        answered_at = excluded.answered_at,
        metadata = excluded.metadata,
        closed_by_sweep = false,
        revision = excluded.revision
    where p.revision < excluded.revision
$$;

revoke all on function voice_worker.apply_legs(jsonb, jsonb) from public;
grant execute on function voice_worker.apply_legs(jsonb, jsonb) to voice_worker;
$routine$;

    -- legs/close_legs.sql
    execute $routine$
-- Ends the legs that are still open when their call has ended. A leave that is reported later still
-- counts. If only the agent left and people may talk on, their legs stay open (open_legs).
--
-- ids: {key: id of the call}. calls: those of the batch; a call that now belongs to another job is
-- skipped.
-- Locks: the legs that change. Called by: voice_worker.
create or replace function voice_worker.close_legs(ids jsonb, calls jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.call_participants p set left_at = greatest(p.joined_at, v.ended_at)
    from jsonb_to_recordset(calls) as r (key text, job_id text)
    join public.voice_calls v on v.id = (ids ->> r.key)::uuid and v.job_id = r.job_id
    where p.call_id = v.id and p.left_at is null and v.ended_at is not null
        and not (p.participant_type <> 'agent' and voice_worker.people_talk_on(v.end_reason))
$$;

revoke all on function voice_worker.close_legs(jsonb, jsonb) from public;
grant execute on function voice_worker.close_legs(jsonb, jsonb) to voice_worker;
$routine$;

    -- legs/end_legs.sql
    execute $routine$
-- Ends those of these legs that are open, with the current time: their people have left the room.
--
-- ids: of legs. Locks: the legs that change. Called by: voice_worker.
create or replace function voice_worker.end_legs(ids uuid[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.call_participants p set left_at = greatest(p.joined_at, now())
    where p.id = any (ids) and p.left_at is null
$$;

revoke all on function voice_worker.end_legs(uuid[]) from public;
grant execute on function voice_worker.end_legs(uuid[]) to voice_worker;
$routine$;

    -- legs/note_phone_calls.sql
    execute $routine$
-- Writes the SIP call, trunk and rule of a call with a phone leg into its metadata.sip, without the
-- phone numbers, which only the leg has.
--
-- ids: {key: id of the call}. legs: those of the batch.
-- Locks: the rows of the calls that change. Called by: voice_worker.
create or replace function voice_worker.note_phone_calls(ids jsonb, legs jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.voice_calls v
    set metadata = coalesce(v.metadata, '{}') || jsonb_build_object('sip', first.sip)
    from (
        select distinct on (p.call_id) p.call_id, jsonb_strip_nulls(jsonb_build_object(
            'callID', told.by ->> 'sip.callID',
            'trunkID', told.by ->> 'sip.trunkID',
            'ruleID', told.by ->> 'sip.ruleID'
        )) as sip
        from jsonb_to_recordset(legs) as r (call text, kind text)
        join public.call_participants p on p.call_id = (ids ->> r.call)::uuid and p.kind = r.kind
        cross join lateral (
            select coalesce(
                p.metadata -> 'changed' -> 'attributes', p.metadata -> 'attributes'
            ) as by
        ) told
        where r.kind = 'sip'
        order by p.call_id, p.joined_at, p.id
    ) first
    where v.id = first.call_id and v.metadata -> 'sip' is distinct from first.sip
$$;

revoke all on function voice_worker.note_phone_calls(jsonb, jsonb) from public;
grant execute on function voice_worker.note_phone_calls(jsonb, jsonb) to voice_worker;
$routine$;

    -- legs/open_legs.sql
    execute $routine$
-- Legs that are open after their call has ended, because only the agent left and people talk on. No
-- event reports when they leave: a worker checks the room.
--
-- Locks: none. Result: id of the leg, name of the room, LiveKit's id of the participant. Called by:
-- voice_worker.
create or replace function voice_worker.open_legs()
returns table (id uuid, room text, sid text)
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select
        p.id,
        -- A room name that was taken already stands in room_name.
        case when c.session_id like '%@' || c.room_sid then c.room_name else c.session_id end,
        p.participant_sid
    from public.call_participants p
    join public.voice_calls c on c.id = p.call_id
    -- A leg that a user added himself is nobody's in the room.
    where p.left_at is null and p.participant_type <> 'agent' and p.participant_sid is not null
        and c.ended_at is not null and voice_worker.people_talk_on(c.end_reason)
$$;

revoke all on function voice_worker.open_legs() from public;
grant execute on function voice_worker.open_legs() to voice_worker;
$routine$;

    -- legs/people_talk_on.sql
    execute $routine$
-- Whether an end reason means that only the agent left, so that people may talk on: TALK_ON in
-- callrecord/events.py.
--
-- Locks: none. Called by: voice_worker.
create or replace function voice_worker.people_talk_on(end_reason text) returns boolean
language sql immutable parallel safe as $$
    select coalesce(end_reason in ('transferred', 'dispatch_deleted'), false)
$$;

revoke all on function voice_worker.people_talk_on(text) from public;
grant execute on function voice_worker.people_talk_on(text) to voice_worker;
$routine$;

    -- messages/apply_messages.sql
    execute $routine$
-- Stores the messages of a batch: new ones, and newer revisions of those that are there. All of a
-- batch are numbered at once: to look for the next number at each row, as the trigger does for
-- everybody else, takes a third of the time.
--
-- ids: {key: id of the call}; messages of a call without an id are left out. messages: those of the
-- batch, with "place" for their order.
-- Locks: the messages that change. Their calls must be locked already (apply_batch does it): nobody
-- else may count to the same numbers. Called by: voice_worker.
create or replace function voice_worker.apply_messages(ids jsonb, messages jsonb) returns void
language sql set search_path = pg_catalog, pg_temp
-- A plan that was made while the table was small, or unknown, stays with the session.
set enable_seqscan = off as $$
    with given as materialized (
        select (ids ->> r.call)::uuid as call_id, r.*
        from jsonb_to_recordset(messages) as r (
            id uuid, call text, role public.message_role, content text, at timestamptz, tokens int,
            model text, metadata jsonb, interrupted boolean, participant_identity text,
            speech_id text, speech_started_at timestamptz, speech_ended_at timestamptz,
            transcription_delay_ms int, end_of_turn_delay_ms int, llm_ttft_ms int, tts_ttfb_ms int,
            e2e_latency_ms int, generated_content text, audio_duration_ms int,
            turn_completed_delay_ms int, first_sentence_ms int, playout_delay_ms int, revision bigint,
            place bigint
        )
        where ids ->> r.call is not null
    ),
    -- Numbers for those that are new; one that is there keeps its own.
    numbered as (
        select g.id, row_number() over (partition by g.call_id order by g.place) as nth
        from given g
        -- One by one, by the index: joined, a plan may read the whole of a table that has grown since.
        where (select m.id from public.voice_messages m where m.id = g.id) is null
    ),
    newest as materialized (
        select c.call_id, (
            select coalesce(max(m.sequence_number), 0) from public.voice_messages m
            where m.call_id = c.call_id
        ) as number
        from (select distinct call_id from given) c
    )
    insert into public.voice_messages as m (
        id, call_id, role, content, timestamp, sequence_number, tokens_used, model_used, metadata,
        interrupted, participant_identity, speech_id, speech_started_at, speech_ended_at,
        transcription_delay_ms, end_of_turn_delay_ms, llm_ttft_ms, tts_ttfb_ms, e2e_latency_ms,
        audio_duration_ms, generated_content, turn_completed_delay_ms, first_sentence_ms,
        playout_delay_ms, revision
    )
    select
        r.id, r.call_id, r.role, r.content, r.at, newest.number + numbered.nth,
        coalesce(r.tokens, 0), left(r.model, 100), coalesce(r.metadata, '{}'),
        coalesce(r.interrupted, false), left(r.participant_identity, 255), r.speech_id,
        r.speech_started_at, r.speech_ended_at, r.transcription_delay_ms, r.end_of_turn_delay_ms,
        r.llm_ttft_ms, r.tts_ttfb_ms, r.e2e_latency_ms,
        -- A clock that was set in mid-speech must not cost the turn.
        coalesce(
            r.audio_duration_ms,
            case when r.speech_ended_at is not null and r.speech_started_at is not null then least(
                2147483647,
                greatest(0, extract(epoch from r.speech_ended_at - r.speech_started_at) * 1000)
            )::int end
        ),
        r.generated_content, r.turn_completed_delay_ms, r.first_sentence_ms, r.playout_delay_ms,
        r.revision
    from given r
    join newest using (call_id)
    left join numbered using (id)
    order by r.place
    on conflict (id) do update set
        role = excluded.role,
        content = excluded.content,
        timestamp = excluded.timestamp,
        tokens_used = excluded.tokens_used,
        model_used = excluded.model_used,
        metadata = excluded.metadata,
        interrupted = excluded.interrupted,
        participant_identity = excluded.participant_identity,
        speech_id = excluded.speech_id,
        speech_started_at = excluded.speech_started_at,
        speech_ended_at = excluded.speech_ended_at,
        transcription_delay_ms = excluded.transcription_delay_ms,
        end_of_turn_delay_ms = excluded.end_of_turn_delay_ms,
        llm_ttft_ms = excluded.llm_ttft_ms,
        tts_ttfb_ms = excluded.tts_ttfb_ms,
        e2e_latency_ms = excluded.e2e_latency_ms,
        audio_duration_ms = excluded.audio_duration_ms,
        generated_content = excluded.generated_content,
        turn_completed_delay_ms = excluded.turn_completed_delay_ms,
        first_sentence_ms = excluded.first_sentence_ms,
        playout_delay_ms = excluded.playout_delay_ms,
        revision = excluded.revision
    where m.revision < excluded.revision
$$;

revoke all on function voice_worker.apply_messages(jsonb, jsonb) from public;
grant execute on function voice_worker.apply_messages(jsonb, jsonb) to voice_worker;
$routine$;

    -- prices/rates_of.sql
    execute $routine$
-- The prices of a model on a day, each with what stands in where there is none: a cached token costs
-- as an input token, an audio token as one of text. The newest price that is valid on the day counts.
-- A name with the date of a version at its end finds the prices of the name without it.
--
-- of_provider, of_model: as voice_usage names them; the provider in any case of letters. on_day: in
-- UTC.
-- Locks: none. Result: the rates with the ids of the prices; null if the model has none. Called by:
-- voice_worker.
create or replace function voice_worker.rates_of(of_provider text, of_model text, on_day date)
returns voice_worker.rates
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    r voice_worker.rates;
    units constant text[] := array[
        'input_token', 'cached_input_token', 'cache_creation_token', 'output_token',
        'input_audio_token', 'cached_audio_token', 'output_audio_token',
        'character', 'audio_second', 'session_second', 'request'
    ];
    found_prices numeric[];
    named text := of_model;
begin
    loop
        select array_agg(p.price / p.per order by u.place), array_agg(p.id order by u.place)
        into found_prices, r.ids
        from unnest(units) with ordinality as u (unit, place)
        left join (
            select distinct on (m.unit) m.unit, m.price, m.per, m.id
            from public.model_prices m
            where m.provider = lower(of_provider) and m.model = named and m.valid_from <= on_day
            order by m.unit, m.valid_from desc
        ) p on p.unit = u.unit;
        exit when array_remove(r.ids, null) <> '{}';
        -- Names of one version: gpt-4o-2024-08-06, claude-haiku-4-5-20251001.
        named := regexp_replace(of_model, '[-@](\d{4}-\d{2}-\d{2}|\d{8})$', '');
        if named is not distinct from of_model then
            return null;
        end if;
        of_model := named;
    end loop;
    r.input := found_prices[1];
    r.cached_input := coalesce(found_prices[2], found_prices[1]);
    r.cache_creation := coalesce(found_prices[3], found_prices[1]);
    r.output := found_prices[4];
    r.input_audio := coalesce(found_prices[5], found_prices[1]);
    r.cached_audio := coalesce(found_prices[6], found_prices[5], found_prices[2], found_prices[1]);
    r.output_audio := coalesce(found_prices[7], found_prices[4]);
    r.character := found_prices[8];
    r.audio_second := found_prices[9];
    r.session_second := found_prices[10];
    r.request := found_prices[11];
    -- The id of what stands in, where it does.
    r.ids[2] := coalesce(r.ids[2], r.ids[1]);
    r.ids[3] := coalesce(r.ids[3], r.ids[1]);
    r.ids[6] := coalesce(r.ids[6], r.ids[5], r.ids[2]);
    r.ids[5] := coalesce(r.ids[5], r.ids[1]);
    r.ids[7] := coalesce(r.ids[7], r.ids[4]);
    return r;
end
$$;

revoke all on function voice_worker.rates_of(text, text, date) from public;
grant execute on function voice_worker.rates_of(text, text, date) to voice_worker;
$routine$;

    -- prices/reprice.sql
    execute $routine$
-- Computes the costs of requests again, after prices have changed: of one span of ids, so that a
-- caller goes on from there.
--
-- after_id: where the last span ended. since, until: only requests of that time. of_model: null for
-- all. size: how many to look at.
-- Locks: the requests that change and, through the triggers, their calls; for one span only.
-- Result: last_id (null at the end), looked_at, changed. Called by: service_role.
create or replace function voice_worker.reprice(
    after_id uuid, since timestamptz, until timestamptz, of_model text, size int,
    out last_id uuid, out looked_at int, out changed int
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
begin
    select array_agg(b.id order by b.id) into ids from (
        select u.id from public.voice_usage u
        where u.id > after_id and (of_model is null or u.model = of_model)
            and u.created_at >= since and u.created_at < until
        order by u.id limit size
    ) b;
    looked_at := coalesce(cardinality(ids), 0);
    last_id := ids[looked_at];
    with models as materialized (
        select
            k.provider, k.model, k.day, voice_worker.rates_of(k.provider, k.model, k.day) as rates
        from (
            select distinct u.provider, u.model, (u.created_at at time zone 'UTC')::date as day
            from public.voice_usage u where u.id = any (ids)
        ) k
    ), priced as (
        select u.id, c.cost, c.price_ids
        from public.voice_usage u
        join models m on m.provider is not distinct from u.provider
            and m.model is not distinct from u.model
            and m.day = (u.created_at at time zone 'UTC')::date
        cross join lateral voice_worker.charge(
            voice_worker.units_of(
                u.input_tokens, u.cached_input_tokens, u.cache_creation_tokens,
                u.input_audio_tokens, u.cached_audio_tokens, u.output_tokens,
                u.output_audio_tokens, u.characters, u.audio_ms, u.metadata
            ),
            m.rates
        ) c
        where u.id = any (ids)
    )
    update public.voice_usage u set cost = p.cost, price_ids = p.price_ids
    from priced p
    where u.id = p.id and (u.cost, u.price_ids) is distinct from (p.cost, p.price_ids);
    get diagnostics changed = row_count;
end
$$;

revoke all on function voice_worker.reprice(uuid, timestamptz, timestamptz, text, int) from public;
grant execute on function voice_worker.reprice(uuid, timestamptz, timestamptz, text, int)
    to service_role;
$routine$;

    -- usage/add_usage.sql
    execute $routine$
-- Adds to total_tokens_used, cost and unpriced_requests of calls. Totals stop at the largest int, and
-- at 0, instead of refusing the row. cost stays null as long as no request of the call has a price.
--
-- calls, tokens, costs, priced, unpriced: arrays of the same length; a call stands in it once.
-- Locks: the rows of the calls, in the order of their ids, so that two statements cannot deadlock.
-- Called by the triggers of voice_usage, nobody else.
create or replace function voice_worker.add_usage(
    calls uuid[], tokens bigint[], costs numeric[], priced bigint[], unpriced bigint[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform from public.voice_calls where id = any (calls) order by id for no key update;
    update public.voice_calls c set
        total_tokens_used = least(2147483647, greatest(0, c.total_tokens_used + d.tokens)),
        cost = case when c.cost is not null or d.priced > 0
            then coalesce(c.cost, 0) + d.costs end,
        unpriced_requests = least(2147483647, greatest(0, c.unpriced_requests + d.unpriced))
    from unnest(calls, tokens, costs, priced, unpriced)
        as d (call_id, tokens, costs, priced, unpriced)
    where c.id = d.call_id;
end
$$;

revoke all on function voice_worker.add_usage(uuid[], bigint[], numeric[], bigint[], bigint[])
    from public;
$routine$;

    -- usage/apply_deleted_usage.sql
    execute $routine$
-- Counts the model requests of a batch whose call its owner has deleted, because they still cost money.
-- Nothing about the call or a person is kept.
--
-- ids: {key: id of the call}; only requests of a call whose id is null are taken. usage: those of the
-- batch. A newer revision takes the place of an older one.
-- Locks: the rows of deleted_usage that change. Called by: voice_worker.
create or replace function voice_worker.apply_deleted_usage(ids jsonb, usage jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    insert into voice_worker.deleted_usage as d (
        id, kind, provider, model, input_tokens, cached_input_tokens, output_tokens, total_tokens,
        audio_ms, characters, cost, created_at, revision
    )
    select
        r.id, r.kind, r.provider, r.model, coalesce(r.input_tokens, 0),
        coalesce(r.cached_input_tokens, 0), coalesce(r.output_tokens, 0),
        coalesce(r.total_tokens, 0), r.audio_ms, r.characters, c.cost, r.at, r.revision
    from jsonb_to_recordset(usage) as r (
        id uuid, call text, kind text, provider text, model text, input_tokens int,
        cached_input_tokens int, output_tokens int, total_tokens int, audio_ms int, characters int,
        at timestamptz, metadata jsonb, cache_creation_tokens int, input_audio_tokens int,
        cached_audio_tokens int, output_audio_tokens int, revision bigint
    )
    cross join lateral voice_worker.charge(
        voice_worker.units_of(
            r.input_tokens, r.cached_input_tokens, r.cache_creation_tokens, r.input_audio_tokens,
            r.cached_audio_tokens, r.output_tokens, r.output_audio_tokens, r.characters,
            r.audio_ms, r.metadata
        ),
        voice_worker.rates_of(r.provider, r.model, (r.at at time zone 'UTC')::date)
    ) c
    where ids ? r.call and ids ->> r.call is null
    on conflict (id) do update set
        kind = excluded.kind,
        provider = excluded.provider,
        model = excluded.model,
        input_tokens = excluded.input_tokens,
        cached_input_tokens = excluded.cached_input_tokens,
        output_tokens = excluded.output_tokens,
        total_tokens = excluded.total_tokens,
        audio_ms = excluded.audio_ms,
        characters = excluded.characters,
        cost = excluded.cost,
        created_at = excluded.created_at,
        revision = excluded.revision
    where d.revision < excluded.revision
$$;

revoke all on function voice_worker.apply_deleted_usage(jsonb, jsonb) from public;
grant execute on function voice_worker.apply_deleted_usage(jsonb, jsonb) to voice_worker;
$routine$;

    -- usage/apply_usage.sql
    execute $routine$
-- Stores the model requests of a batch: new ones, and newer revisions of those that are there. A
-- request is attached only to a message of its own call; one whose message was refused or deleted
-- stays unattached. Each is priced.
--
-- ids: {key: id of the call}; requests of a call without an id are left out. usage: those of the
-- batch.
-- Locks: the requests that change, and through the triggers the rows of their calls. Called by:
-- voice_worker.
create or replace function voice_worker.apply_usage(ids jsonb, usage jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    with given as materialized (
        select (ids ->> r.call)::uuid as call_id, (r.at at time zone 'UTC')::date as day, r.*
        from jsonb_to_recordset(usage) as r (
            id uuid, call text, message_id uuid, kind text, provider text, model text,
            request_id text, speech_id text, input_tokens int, cached_input_tokens int,
            output_tokens int, reasoning_tokens int, total_tokens int, audio_ms int, characters int,
            duration_ms int, ttft_ms int, cancelled boolean, estimated boolean, at timestamptz,
            metadata jsonb, cache_creation_tokens int, input_audio_tokens int,
            cached_audio_tokens int, output_audio_tokens int, error text, revision bigint
        )
        where ids ->> r.call is not null
    ),
    -- Looked up once for each model, not for each request.
    models as materialized (
        select k.provider, k.model, k.day, voice_worker.rates_of(k.provider, k.model, k.day) as rates
        from (select distinct provider, model, day from given) k
    )
    insert into public.voice_usage as u (
        id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
        cached_input_tokens, output_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
        duration_ms, ttft_ms, cancelled, estimated, created_at, metadata, cache_creation_tokens,
        input_audio_tokens, cached_audio_tokens, output_audio_tokens, error, revision, cost, price_ids
    )
    select
        r.id, r.call_id,
        -- A message that was refused or deleted, or is another call's, leaves its requests unattached.
        (
            select m.id from public.voice_messages m
            where m.id = r.message_id and m.call_id = r.call_id
        ),
        r.kind, r.provider, r.model, r.request_id, r.speech_id, coalesce(r.input_tokens, 0),
        coalesce(r.cached_input_tokens, 0), coalesce(r.output_tokens, 0),
        coalesce(r.reasoning_tokens, 0), coalesce(r.total_tokens, 0), r.audio_ms,
        r.characters, r.duration_ms, r.ttft_ms, coalesce(r.cancelled, false),
        coalesce(r.estimated, false), r.at, coalesce(r.metadata, '{}'),
        coalesce(r.cache_creation_tokens, 0), coalesce(r.input_audio_tokens, 0),
        coalesce(r.cached_audio_tokens, 0), coalesce(r.output_audio_tokens, 0), r.error, r.revision,
        c.cost, c.price_ids
    from given r
    join models on models.provider is not distinct from r.provider
        and models.model is not distinct from r.model and models.day = r.day
    cross join lateral voice_worker.charge(
        voice_worker.units_of(
            r.input_tokens, r.cached_input_tokens, r.cache_creation_tokens, r.input_audio_tokens,
            r.cached_audio_tokens, r.output_tokens, r.output_audio_tokens, r.characters,
            r.audio_ms, r.metadata
        ),
        models.rates
    ) c
    on conflict (id) do update set
        message_id = excluded.message_id,
        kind = excluded.kind,
        provider = excluded.provider,
        model = excluded.model,
        request_id = excluded.request_id,
        speech_id = excluded.speech_id,
        audio_ms = excluded.audio_ms,
        characters = excluded.characters,
        duration_ms = excluded.duration_ms,
        ttft_ms = excluded.ttft_ms,
        created_at = excluded.created_at,
        input_tokens = excluded.input_tokens,
        cached_input_tokens = excluded.cached_input_tokens,
        output_tokens = excluded.output_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        total_tokens = excluded.total_tokens,
        cancelled = excluded.cancelled,
        estimated = excluded.estimated,
        metadata = excluded.metadata,
        cache_creation_tokens = excluded.cache_creation_tokens,
        input_audio_tokens = excluded.input_audio_tokens,
        cached_audio_tokens = excluded.cached_audio_tokens,
        output_audio_tokens = excluded.output_audio_tokens,
        error = excluded.error,
        revision = excluded.revision,
        cost = excluded.cost,
        price_ids = excluded.price_ids
    where u.revision < excluded.revision
$$;

revoke all on function voice_worker.apply_usage(jsonb, jsonb) from public;
grant execute on function voice_worker.apply_usage(jsonb, jsonb) to voice_worker;
$routine$;

    -- usage/recount_usage.sql
    execute $routine$
-- Makes voice_worker.usage_totals equal to the requests, those of deleted calls included: needed after
-- rows were loaded, or a table emptied, without triggers, or with both triggers and totals.
--
-- It adds what is missing, rather than count from nothing: requests and totals are read in one
-- snapshot, in which each request that others are writing is in both or in neither. So it is right
-- beside any load. The differences are in a slot of their own.
-- Locks: none that a writer waits for; a second recount waits. Called by: the owner.
create or replace procedure voice_worker.recount_usage()
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(hashtext('voice_worker'), hashtext('recount_usage'));
    insert into voice_worker.usage_totals as t
    select
        d.quarter_hour, d.kind, d.provider, d.model, -1, sum(d.requests), sum(d.input_tokens),
        sum(d.cached_input_tokens), sum(d.output_tokens), sum(d.total_tokens), sum(d.audio_ms),
        sum(d.characters), sum(d.cost), sum(d.unpriced_requests)
    from (
        select
            date_bin('15 minutes', u.created_at, 'epoch') as quarter_hour, u.kind, u.provider,
            u.model, count(*) as requests, sum(u.input_tokens) as input_tokens,
            sum(u.cached_input_tokens) as cached_input_tokens,
            sum(u.output_tokens) as output_tokens, sum(u.total_tokens) as total_tokens,
            coalesce(sum(u.audio_ms), 0) as audio_ms, coalesce(sum(u.characters), 0) as characters,
            coalesce(sum(u.cost), 0) as cost,
            count(*) filter (where u.cost is null) as unpriced_requests
        from (
            select
                created_at, kind, provider, model, input_tokens, cached_input_tokens,
                output_tokens, total_tokens, audio_ms, characters, cost
            from public.voice_usage
            union all
            select
                created_at, kind, provider, model, input_tokens, cached_input_tokens,
                output_tokens, total_tokens, audio_ms, characters, cost
            from voice_worker.deleted_usage
        ) u
        group by 1, 2, 3, 4
        union all
        select
            quarter_hour, kind, provider, model, -requests, -input_tokens, -cached_input_tokens,
            -output_tokens, -total_tokens, -audio_ms, -characters, -cost, -unpriced_requests
        from voice_worker.usage_totals
    ) d
    group by 1, 2, 3, 4
    having (
        sum(d.requests), sum(d.input_tokens), sum(d.cached_input_tokens), sum(d.output_tokens),
        sum(d.total_tokens), sum(d.audio_ms), sum(d.characters), sum(d.cost),
        sum(d.unpriced_requests)
    ) <> (0, 0, 0, 0, 0, 0, 0, 0, 0)
    order by 1, 2  -- so that a span's rows lie together
    on conflict (quarter_hour, kind, provider, model, slot) do update set
        requests = t.requests + excluded.requests,
        input_tokens = t.input_tokens + excluded.input_tokens,
        cached_input_tokens = t.cached_input_tokens + excluded.cached_input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens,
        total_tokens = t.total_tokens + excluded.total_tokens,
        audio_ms = t.audio_ms + excluded.audio_ms,
        characters = t.characters + excluded.characters,
        cost = t.cost + excluded.cost,
        unpriced_requests = t.unpriced_requests + excluded.unpriced_requests;
end
$$;

revoke all on procedure voice_worker.recount_usage() from public;
$routine$;

    -- workers/beat.sql
    execute $routine$
-- Stores one heartbeat of a process that ships an outbox directory. All times are the database's: the
-- hosts' clocks are not used.
--
-- b: {"id", "kind", "hostname", "pid", "version", "agent_name", "livekit_worker_id", "uptime_s",
-- "lost_after_s", "backlog_events", "backlog_bytes", "backlog_seconds", "refused_events", "adopted":
-- [ids of directories that it ships too]}.
-- Locks: the worker's row and those of the directories it ships. Waits for a sweep that has the
-- worker's row, so that no call of it is swept after this.
-- Result: true if a sweep has counted it as lost. Called by: voice_worker.
create or replace function voice_worker.beat(b jsonb) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    me constant uuid := (b ->> 'id')::uuid;
    limit_ constant interval := make_interval(secs => (b ->> 'lost_after_s')::float8);
    adopted constant uuid[] := array(
        select id::uuid from jsonb_array_elements_text(b -> 'adopted') as a (id) order by 1
    );
    was_lost boolean;
begin
    -- Waits for a sweep that has this row, so that no call of it is swept after this.
    select w.lost_at is not null into was_lost from voice_worker.workers w where w.id = me for update;
    insert into voice_worker.workers as w (
        id, kind, hostname, pid, version, agent_name, livekit_worker_id, started_at, lost_after,
        backlog_events, backlog_bytes, backlog_seconds, refused_events
    )
    values (
        me, b ->> 'kind', b ->> 'hostname', (b ->> 'pid')::int, b ->> 'version', b ->> 'agent_name',
        b ->> 'livekit_worker_id', now() - make_interval(secs => (b ->> 'uptime_s')::float8), limit_,
        (b ->> 'backlog_events')::bigint, (b ->> 'backlog_bytes')::bigint,
        (b ->> 'backlog_seconds')::float8, (b ->> 'refused_events')::bigint
    )
    on conflict (id) do update set
        kind = excluded.kind,
        hostname = excluded.hostname,
        pid = excluded.pid,
        version = excluded.version,
        agent_name = excluded.agent_name,
        livekit_worker_id = excluded.livekit_worker_id,
        started_at = excluded.started_at,
        lost_after = excluded.lost_after,
        backlog_events = excluded.backlog_events,
        backlog_bytes = excluded.backlog_bytes,
        backlog_seconds = excluded.backlog_seconds,
        refused_events = excluded.refused_events,
        heartbeat_at = now(),
        unbroken_since = case when w.heartbeat_at < now() - limit_ / 3 then now()
            else least(w.unbroken_since, now()) end,
        stopped_at = null, lost_at = null, swept_calls = 0, shipped_by = null;
    -- Its backlog counts what they hold.
    insert into voice_worker.workers as w (id, kind, hostname, pid, version, lost_after, shipped_by)
    select id, 'outbox', b ->> 'hostname', (b ->> 'pid')::int, b ->> 'version', limit_, me
    from unnest(adopted) as a (id)
    on conflict (id) do update set
        lost_after = excluded.lost_after, shipped_by = me, heartbeat_at = now(),
        backlog_events = 0, backlog_bytes = 0, backlog_seconds = 0, refused_events = 0,
        stopped_at = null, lost_at = null, swept_calls = 0;
    -- A directory is let go only when all that was in it is shipped.
    update voice_worker.workers w set stopped_at = now(), shipped_by = null
    where w.shipped_by = me and w.id <> all (adopted);
    return coalesce(was_lost, false);
end
$$;

revoke all on function voice_worker.beat(jsonb) from public;
grant execute on function voice_worker.beat(jsonb) to voice_worker;
$routine$;

    -- workers/end_unserved.sql
    execute $routine$
-- Ends those of these rows that still wait for an agent and whose rooms do not exist.
--
-- sweeper: the calling worker; nothing is done until it has watched long enough. candidates: the rows.
-- older_than: as for unserved.
-- Locks: as sweep_calls, without waiting. Result: how many; null if the sweeper may not sweep yet.
-- Called by: voice_worker.
create or replace function voice_worker.end_unserved(
    sweeper uuid, candidates uuid[], older_than interval
) returns int
language sql set search_path = pg_catalog, pg_temp as $$
    select coalesce((
        voice_worker.sweep_calls(array(
            select u.id from voice_worker.unserved(older_than) u where u.id = any (candidates)
        ), null) ->> 'nobody'
    )::int, 0)
    from voice_worker.workers w
    where w.id = sweeper and voice_worker.watched_for(sweeper) > w.lost_after
$$;

revoke all on function voice_worker.end_unserved(uuid, uuid[], interval) from public;
grant execute on function voice_worker.end_unserved(uuid, uuid[], interval) to voice_worker;
$routine$;

    -- workers/leave.sql
    execute $routine$
-- Records that a worker stops with everything shipped: it has no open rows, and its calls have ended.
--
-- me: its id. Locks: its row and those of the directories it ships. Called by: voice_worker.
create or replace function voice_worker.leave(me uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update voice_worker.workers w set
        heartbeat_at = now(), stopped_at = now(), shipped_by = null,
        backlog_events = 0, backlog_bytes = 0, backlog_seconds = 0
    where w.id = me or w.shipped_by = me
$$;

revoke all on function voice_worker.leave(uuid) from public;
grant execute on function voice_worker.leave(uuid) to voice_worker;
$routine$;

    -- workers/open_calls.sql
    execute $routine$
-- The few calls that have not ended, from their index. Under row level security Postgres does not know
-- how many rows have a status (comparing an enum is not leakproof), and would read the whole table.
--
-- Locks: none. Called by: voice_worker.
create or replace function voice_worker.open_calls()
returns table (id uuid, worker_id uuid, status public.call_status, created_at timestamptz)
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select c.id, c.worker_id, c.status, c.created_at from public.voice_calls c
    where c.status in ('pending', 'active')
$$;

revoke all on function voice_worker.open_calls() from public;
grant execute on function voice_worker.open_calls() to voice_worker;
$routine$;

    -- workers/prune.sql
    execute $routine$
-- Deletes rows that are no longer needed: workers without a heartbeat for a week that hold no call,
-- tombstones and records of deleted rows after 90 days (an outbox that is shipped later restores its
-- rows), and counts of users' writes after an hour.
--
-- With the owner's rights: a worker may not delete tombstones itself. Locks: the rows it deletes; waits
-- for none. Called by: voice_worker, by sweep.
create or replace function voice_worker.prune() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from voice_worker.workers where id in (
        select w.id from voice_worker.workers w
        where w.heartbeat_at < now() - interval '7 days' and w.id not in (
            select o.worker_id from voice_worker.open_calls() o where o.worker_id is not null
        )
        for update skip locked
    );
    delete from voice_worker.tombstones where call_id in (
        select t.call_id from voice_worker.tombstones t
        where t.deleted_at < now() - interval '90 days' limit 1000 for update skip locked
    );
    delete from voice_worker.deleted_rows where id in (
        select d.id from voice_worker.deleted_rows d
        where d.deleted_at < now() - interval '90 days' limit 1000 for update skip locked
    );
    delete from voice_worker.user_writes where (user_id, minute) in (
        select u.user_id, u.minute from voice_worker.user_writes u
        where u.minute < now() - interval '1 hour' limit 1000 for update skip locked
    );
end
$$;

revoke all on function voice_worker.prune() from public;
grant execute on function voice_worker.prune() to voice_worker;
$routine$;

    -- workers/sweep.sql
    execute $routine$
-- One sweep: ends calls of workers without a heartbeat for longer than their limit. A limit of 100
-- workers and 50 calls keeps it short, even with long transcripts; if it ended calls, there may be more.
-- Also deletes rows that are no longer needed (prune).
--
-- sweeper: the calling worker; it must have watched for longer than the limits.
-- Locks: one sweep at a time (an advisory lock, without waiting); first the rows of the lost workers,
-- so that a concurrent heartbeat waits or is seen; then calls. Nothing here waits for a lock, so it
-- can't deadlock.
-- Result: {"state": "swept", "lost": {worker: calls}}, or "watching" with the seconds that it still has
-- to watch, or "another" while another worker sweeps. Called by: voice_worker.
create or replace function voice_worker.sweep(sweeper uuid) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own_limit constant interval := (select lost_after from voice_worker.workers where id = sweeper);
    watched constant interval := coalesce(voice_worker.watched_for(sweeper), '0');
    lost uuid[];
    swept jsonb := '{}';
begin
    if own_limit is null or watched <= own_limit then
        return jsonb_build_object(
            'state', 'watching', 'seconds', extract(epoch from own_limit - watched)
        );
    end if;
    if not pg_try_advisory_xact_lock(hashtext('voice_worker'), hashtext('sweep')) then
        return jsonb_build_object('state', 'another');
    end if;
    -- Locked: a heartbeat that comes just now waits, or is there and seen. Calls come after workers,
    -- and nothing here waits for a lock: nobody can wait in a circle.
    lost := array(
        select w.id from voice_worker.workers w
        where w.heartbeat_at < now() - greatest(w.lost_after, own_limit)
            and watched > greatest(w.lost_after, own_limit)
            and w.id in (select o.worker_id from voice_worker.open_calls() o)
        order by w.id limit 100
        for update skip locked
    );
    if cardinality(lost) > 0 then
        swept := voice_worker.sweep_calls(array(
            select o.id from voice_worker.open_calls() o where o.worker_id = any (lost)
            order by o.id limit 50
        ), lost);
        update voice_worker.workers w set
            lost_at = now(), swept_calls = w.swept_calls + (swept ->> w.id::text)::int
        where w.id = any (lost) and swept ? w.id::text;
    end if;
    perform voice_worker.prune();
    return jsonb_build_object('state', 'swept', 'lost', swept);
end
$$;

revoke all on function voice_worker.sweep(uuid) from public;
grant execute on function voice_worker.sweep(uuid) to voice_worker;
$routine$;

    -- workers/sweep_calls.sql
    execute $routine$
-- Ends those of these calls that are open and still held by one of these workers, with their open
-- legs, at the last known time of each. Users may write any time into their calls, so future times are
-- ignored, except the worker's own, whose clock may be ahead.
--
-- ids: the calls. holders: the workers, or null for calls that no worker has claimed; these end as
-- not_served, the others as worker_lost.
-- Locks: the calls, in the order of their ids, and their open legs. Never waits: a call that is locked
-- is skipped until the next sweep.
-- Result: {worker: number of calls}, "nobody" for those without a worker. Called by: voice_worker.
create or replace function voice_worker.sweep_calls(ids uuid[], holders uuid[]) returns jsonb
language sql set search_path = pg_catalog, pg_temp as $$
    with open as (
        select c.id, greatest(
            (select w.heartbeat_at from voice_worker.workers w where w.id = c.worker_id),
            least(now(), greatest(coalesce(c.started_at, c.created_at), c.connected_at)),
            (
                select max(m.timestamp) from public.voice_messages m
                where m.call_id = c.id and (m.revision > 0 or m.timestamp <= now())
            ),
            (
                select max(greatest(p.joined_at, p.left_at)) from public.call_participants p
                where p.call_id = c.id
                    and (p.revision > 0 or greatest(p.joined_at, p.left_at) <= now())
            )
        ) as last_known
        from public.voice_calls c
        where c.id = any (ids) and c.status in ('pending', 'active')
            and case when holders is null then c.worker_id is null else c.worker_id = any (holders) end
        order by c.id for no key update skip locked
    ),
    ended as (
        update public.voice_calls v set
            status = 'failed', ended_at = o.last_known, swept_at = o.last_known,
            end_reason = case when holders is null then 'not_served' else 'worker_lost' end
        from open o where v.id = o.id
        returning v.id, v.ended_at, v.worker_id
    ),
    closed as (
        update public.call_participants p set
            left_at = greatest(p.joined_at, e.ended_at), closed_by_sweep = true
        from ended e where p.call_id = e.id and p.left_at is null
    )
    select coalesce(jsonb_object_agg(n.holder, n.calls), '{}') from (
        select coalesce(worker_id::text, 'nobody') as holder, count(*) as calls
        from ended group by 1
    ) n
$$;

revoke all on function voice_worker.sweep_calls(uuid[], uuid[]) from public;
grant execute on function voice_worker.sweep_calls(uuid[], uuid[]) to voice_worker;
$routine$;

    -- workers/unserved.sql
    execute $routine$
-- Rows that wait for an agent, have not changed for a time, and that no worker has claimed. LiveKit's
-- rooms show whether they are really not served. Calls without an agent, such as those between users,
-- are included only if they never started.
--
-- older_than: that time. Locks: none. Result: id and name of the room. Called by: voice_worker.
create or replace function voice_worker.unserved(older_than interval)
returns table (id uuid, room text)
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select c.id, c.session_id from public.voice_calls c
    where c.status in ('pending', 'active') and c.worker_id is null and c.room_sid is null
        and c.ended_at is null and (c.status = 'pending' or c.ai_agent_used)
        and c.created_at < now() - older_than
        and greatest(c.updated_at, c.started_at, c.connected_at) < now() - older_than
$$;

revoke all on function voice_worker.unserved(interval) from public;
grant execute on function voice_worker.unserved(interval) to voice_worker;
$routine$;

    -- workers/watched_for.sql
    execute $routine$
-- How long the sweeper's own heartbeats have had no gap: another worker's missing heartbeats mean
-- something only if the sweeper's own arrived all that time.
--
-- sweeper: its id. Locks: none. Result: null if they have stopped. Called by: voice_worker.
create or replace function voice_worker.watched_for(sweeper uuid) returns interval
language sql stable set search_path = pg_catalog, pg_temp as $$
    select now() - w.unbroken_since from voice_worker.workers w
    where w.id = sweeper and w.heartbeat_at >= now() - w.lost_after / 3
$$;

revoke all on function voice_worker.watched_for(uuid) from public;
grant execute on function voice_worker.watched_for(uuid) to voice_worker;
$routine$;

    -- access/at_most_now.sql
    execute $routine$
-- Limits a time from a browser's clock to the span from a given time to now. given: null stays
-- null; earliest: null for no limit. Locks: none. Called by: the triggers, nobody else.
create or replace function voice_worker.at_most_now(given timestamptz, earliest timestamptz)
returns timestamptz
language sql stable parallel safe
return case when given is not null then least(greatest(given, earliest), now()) end;

revoke all on function voice_worker.at_most_now(timestamptz, timestamptz) from public;
$routine$;

    -- calls/on_one_line.sql
    execute $routine$
-- Puts a person's words or name on one line: otherwise it could look like another person's words.
--
-- said: the text. Locks: none. Result: the text with each run of white space and control characters as
-- one blank. Called by: voice_worker, and transcript_of. Most text has only single blanks and is
-- returned unchanged. Without its own search_path, so that Postgres can inline it.
create or replace function voice_worker.on_one_line(said text) returns text
language sql immutable parallel safe
return btrim(case
    when said ~ '[^\S ]|[[:cntrl:]\u0085\u2028\u2029]|  '
        then regexp_replace(said, '[\s[:cntrl:]\u0085\u2028\u2029]+', ' ', 'g')
    else said
end);

revoke all on function voice_worker.on_one_line(text) from public;
grant execute on function voice_worker.on_one_line(text) to voice_worker;
$routine$;

    -- figures/latency_mark.sql
    execute $routine$
-- The histogram of one latency, to be summed. A histogram is one number, so that adding numbers adds
-- histograms: twelve decimal digits for each bucket. Bucket 0 counts implausible values; bucket b
-- counts from 1.04 ^ (b - 1) to 1.04 ^ b milliseconds, so that a percentile is accurate to 2 % and,
-- because it is rounded, a millisecond.
--
-- An example: 300 ms is in bucket 1 + floor(ln 300 / ln 1.04) = 146, so its mark is a 1 with 12 * 146
-- zeros; 120 ms is in bucket 123. Two turns of 300 ms and one of 120 ms sum to a number with a 2 at
-- digit 12 * 146 and a 1 at digit 12 * 123, counted from the right: the histogram of the three.
--
-- ms: the latency, or null. implausible: a measured value that can't be true, or null. Locks: none.
-- Result: the histogram; 0 for none.
-- Called by: authenticated, service_role, voice_reader, inside latency_statistics; nobody can name its
-- schema.
create or replace function voice_access.latency_mark(ms int, implausible jsonb) returns numeric
language sql immutable parallel safe
return case
    when ms is not null then (
        '1e' || (12 * (1 + floor(ln(greatest(ms, 1)::double precision) / ln(1.04::double precision))))
            ::int::text
    )::numeric
    when implausible is not null then 1
    else 0
end;

revoke all on function voice_access.latency_mark(int, jsonb) from public;
grant execute on function voice_access.latency_mark(int, jsonb)
    to authenticated, service_role, voice_reader;
$routine$;

    -- figures/latency_percentiles.sql
    execute $routine$
-- The figures of a histogram of latency_mark: the number of turns, the number of implausible ones, and
-- for each percentile the middle of its bucket.
--
-- histogram: a sum of marks. Locks: none. Result: one row; percentiles are null if there is no turn.
-- Called by: authenticated, service_role, voice_reader, inside latency_statistics; nobody can name its
-- schema.
create or replace function voice_access.latency_percentiles(histogram numeric) returns table (
    turns bigint,
    implausible bigint,
    p50_ms double precision,
    p95_ms double precision,
    p99_ms double precision
)
language sql immutable parallel safe
begin atomic
    select
        coalesce(max(b.whole), 0)::bigint,
        coalesce(sum(b.n) filter (where b.bucket = 0), 0)::bigint,
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.50 * b.whole)),
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.95 * b.whole)),
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.99 * b.whole))
    from (
        select
            c.bucket, c.n,
            sum(c.n) filter (where c.bucket > 0) over (order by c.bucket) as upto,
            sum(c.n) filter (where c.bucket > 0) over () as whole
        from (
            select
                g.bucket,
                convert_from(substring(
                    d.digits from length(d.digits) - 12 * g.bucket - 11 for 12
                ), 'SQL_ASCII')::bigint as n
            from (
                -- As bytes, once: a letter of a text is found by walking to it.
                select convert_to(repeat('0', 11) || histogram::text, 'SQL_ASCII') as digits
                offset 0
            ) d
            cross join lateral generate_series(0, length(d.digits) / 12 - 1) as g (bucket)
        ) c
        where c.n > 0
    ) b;
end;

revoke all on function voice_access.latency_percentiles(numeric) from public;
grant execute on function voice_access.latency_percentiles(numeric)
    to authenticated, service_role, voice_reader;
$routine$;

    -- figures/period_of.sql
    execute $routine$
-- The first day of the period that a time falls into.
--
-- at: the time. unit: day, week, month, quarter or year; anything else is an error that lists these.
-- time_zone: in which a day begins.
-- Locks: none. Called by: authenticated, service_role, voice_reader, inside the functions of figures;
-- nobody can name its schema.
create or replace function voice_access.period_of(at timestamptz, unit text, time_zone text)
returns date language sql stable parallel safe
return date_trunc(
    case when unit in ('day', 'week', 'month', 'quarter', 'year') then unit
        else unit || ' (day, week, month, quarter or year)' end,
    at at time zone time_zone
)::date;

revoke all on function voice_access.period_of(timestamptz, text, text) from public;
grant execute on function voice_access.period_of(timestamptz, text, text)
    to authenticated, service_role, voice_reader;
$routine$;

    -- prices/charge.sql
    execute $routine$
-- The cost of a request, and the prices used for it. The cost is null if the model has no price, or none
-- of the used units has one; 0 if nothing was used, as in a rejected request.
--
-- units: what it used (units_of). r: the rates of its model (rates_of). Locks: none. Result: one row.
-- Called by: voice_worker. Without a search_path of its own, as units_of.
create or replace function voice_worker.charge(units numeric[], r voice_worker.rates)
returns table (cost numeric, price_ids bigint[])
language sql immutable parallel safe rows 1
begin atomic
    select
        case
            when (r).ids is null then null
            when count(u.price) > 0 then round(sum(u.used * u.price), 10)
            when bool_or(u.place < 11) then null
            else 0
        end,
        array_agg(u.price_id order by u.place) filter (where u.price is not null)
    from unnest(
        units,
        array[
            (r).input, (r).cached_input, (r).cache_creation, (r).output, (r).input_audio,
            (r).cached_audio, (r).output_audio, (r).character, (r).audio_second,
            (r).session_second, (r).request
        ],
        (r).ids
    ) with ordinality as u (used, price, price_id, place)
    where u.used > 0;
end;

revoke all on function voice_worker.charge(numeric[], voice_worker.rates) from public;
grant execute on function voice_worker.charge(numeric[], voice_worker.rates) to voice_worker;
$routine$;

    -- prices/units_of.sql
    execute $routine$
-- What a request used, as units in the order of the rates. Cached, cache-creation and audio tokens lie
-- inside the input: each is taken out of it, so that none is paid twice. Cached audio is among both.
--
-- Arguments: columns of voice_usage; null counts as 0. Locks: none. Result: eleven numbers, the last of
-- them 1 for the request itself. Called by: voice_worker. Without a search_path of its own, so that
-- Postgres can put it in place of the call: its names are bound when it is made.
create or replace function voice_worker.units_of(
    input_tokens int, cached_input_tokens int, cache_creation_tokens int, input_audio_tokens int,
    cached_audio_tokens int, output_tokens int, output_audio_tokens int, characters int, audio_ms int,
    metadata jsonb
) returns numeric[]
language sql immutable parallel safe
return array[
    greatest(0, coalesce(input_tokens, 0) - coalesce(input_audio_tokens, 0)
        - coalesce(cache_creation_tokens, 0)
        - greatest(0, coalesce(cached_input_tokens, 0) - coalesce(cached_audio_tokens, 0))),
    greatest(0, coalesce(cached_input_tokens, 0) - coalesce(cached_audio_tokens, 0)),
    coalesce(cache_creation_tokens, 0),
    greatest(0, coalesce(output_tokens, 0) - coalesce(output_audio_tokens, 0)),
    greatest(0, coalesce(input_audio_tokens, 0) - coalesce(cached_audio_tokens, 0)),
    coalesce(cached_audio_tokens, 0),
    coalesce(output_audio_tokens, 0),
    coalesce(characters, 0),
    coalesce(audio_ms, 0) / 1000.0,
    case when jsonb_typeof(metadata -> 'session_ms') = 'number'
        then (metadata ->> 'session_ms')::numeric / 1000 else 0 end,
    1
];

revoke all on function
    voice_worker.units_of(int, int, int, int, int, int, int, int, int, jsonb) from public;
grant execute on function
    voice_worker.units_of(int, int, int, int, int, int, int, int, int, jsonb) to voice_worker;
$routine$;

    -- usage/call_tokens.sql
    execute $routine$
-- The tokens of a request that count for its call, and for no message: those of a language model's
-- request that led to none.
--
-- Arguments: columns of voice_usage. Locks: none. Called by the trigger of voice_usage, nobody else.
create or replace function voice_worker.call_tokens(message_id uuid, kind text, total_tokens int)
returns int
language sql immutable parallel safe
return case when message_id is null and kind in ('llm', 'realtime') then total_tokens else 0 end;

revoke all on function voice_worker.call_tokens(uuid, text, int) from public;
$routine$;

    -- figures/call_statistics.sql
    execute $routine$
-- Calls by the period in which they were made; a period without calls has no row.
--
-- since, until: days; until is not included. unit: day, week, month, quarter or year. time_zone: in
-- which a day begins. of_user: whose calls, null for everybody's.
-- Locks: none. Result: a row for each period; failure_rate is of the calls that have ended.
-- With the caller's rights: row level security decides what is counted, a user's own calls, for an
-- admin all. The body is bound when it is made ("begin atomic"): no search_path can change it, and it
-- reaches the private schemas without the caller being able to. A function and not a view, so that
-- span and user go down to an index. Called by: authenticated, service_role, voice_reader.
create or replace function public.call_statistics(
    since date,
    until date,
    unit text default 'day',
    time_zone text default 'UTC',
    of_user uuid default null
) returns table (
    period date,
    calls bigint,
    completed bigint,
    failed bigint,
    failure_rate double precision,
    total_s bigint,
    average_s double precision,
    p50_s double precision,
    p90_s double precision,
    p95_s double precision,
    p99_s double precision
)
language sql stable
begin atomic
    select
        voice_access.period_of(c.created_at, unit, time_zone),
        count(*),
        count(*) filter (where c.status = 'completed'),
        count(*) filter (where c.status = 'failed'),
        -- Of those that have ended.
        avg((c.status = 'failed')::int::double precision)
            filter (where c.status in ('completed', 'failed')),
        coalesce(sum(c.duration_seconds), 0),
        avg(c.duration_seconds::double precision),
        percentile_cont(0.5) within group (order by c.duration_seconds),
        percentile_cont(0.9) within group (order by c.duration_seconds),
        percentile_cont(0.95) within group (order by c.duration_seconds),
        percentile_cont(0.99) within group (order by c.duration_seconds)
    from (
        select v.created_at, v.status, v.duration_seconds
        from public.voice_calls v
        where (select voice_access.whose_figures(of_user)) is null
            and v.created_at >= since::timestamp at time zone time_zone
            and v.created_at < until::timestamp at time zone time_zone
        union all
        select v.created_at, v.status, v.duration_seconds
        from public.voice_calls v
        where v.user_id = (select voice_access.whose_figures(of_user))
            and v.created_at >= since::timestamp at time zone time_zone
            and v.created_at < until::timestamp at time zone time_zone
    ) c
    group by 1
    order by 1;
end;

comment on function public.call_statistics(date, date, text, text, uuid) is
    'Calls by day, week, month, quarter or year of a time zone; until is not included';
revoke all on function public.call_statistics(date, date, text, text, uuid) from public, anon;
grant execute on function public.call_statistics(date, date, text, text, uuid)
    to authenticated, service_role, voice_reader;
$routine$;

    -- figures/latency_statistics.sql
    execute $routine$
-- Where the time of turns went, for each step from the caller's last word to the first sound. The
-- steps of hearing (transcription, end_of_turn, turn_completed) are by the model that heard, the
-- others by the one that answered.
--
-- since, until: days; until is not included. unit: day, week, month, quarter or year. time_zone: in
-- which a day begins. of_user: whose calls, null for everybody's.
-- Locks: none. Result: a row for each period, model and step, with percentiles: everybody's within 2 %,
-- a user's exactly. implausible counts what cannot be true, among everybody's only: of a user's it
-- stands in metadata, which a reader of figures cannot read.
-- Everybody's figures come from latency_totals, a user's from the messages of his calls. With the
-- caller's rights, bound when it is made ("begin atomic"). Called by: authenticated, service_role,
-- voice_reader.
-- A form of before version 97 returns other columns, and has to go first.
do $$
begin
    if pg_get_function_result(
        to_regprocedure('public.latency_statistics(date, date, text, text, uuid)')
    ) not like '%implausible%' then
        drop function public.latency_statistics(date, date, text, text, uuid);
    end if;
end
$$;
create or replace function public.latency_statistics(
    since date,
    until date,
    unit text default 'day',
    time_zone text default 'UTC',
    of_user uuid default null
) returns table (
    period date,
    model text,
    step text,
    turns bigint,
    p50_ms double precision,
    p95_ms double precision,
    p99_ms double precision,
    implausible bigint
)
language sql stable
begin atomic
    select l.period, l.model, s.step, p.turns, p.p50_ms, p.p95_ms, p.p99_ms, p.implausible
    from (
        select
            voice_access.period_of(t.quarter_hour, unit, time_zone) as period, t.model,
            sum(t.transcription) as transcription, sum(t.end_of_turn) as end_of_turn,
            sum(t.turn_completed) as turn_completed, sum(t.first_token) as first_token,
            sum(t.first_sentence) as first_sentence, sum(t.first_audio) as first_audio,
            sum(t.playout) as playout, sum(t.end_to_end) as end_to_end
        from voice_worker.latency_totals t
        where (select voice_access.whose_figures(of_user)) is null
            and t.quarter_hour >= since::timestamp at time zone time_zone
            and t.quarter_hour < until::timestamp at time zone time_zone
        group by 1, 2
    ) l
    cross join lateral (values
        ('transcription', l.transcription),
        ('end_of_turn', l.end_of_turn),
        ('turn_completed', l.turn_completed),
        ('first_token', l.first_token),
        ('first_sentence', l.first_sentence),
        ('first_audio', l.first_audio),
        ('playout', l.playout),
        ('end_to_end', l.end_to_end)
    ) as s (step, histogram)
    cross join lateral voice_access.latency_percentiles(s.histogram) p
    where s.histogram > 0
    union all
    select
        u.period, u.model, u.step, u.turns, u.marks[1]::double precision,
        u.marks[2]::double precision, u.marks[3]::double precision, null::bigint
    from (
        select
            voice_access.period_of(m.timestamp, unit, time_zone) as period, m.model_used as model,
            s.step, count(*) as turns,
            percentile_disc('{0.5, 0.95, 0.99}'::double precision[])
                within group (order by s.ms) as marks
        from public.voice_calls v
        join public.voice_messages m on m.call_id = v.id
        cross join lateral (values
            ('transcription', m.transcription_delay_ms),
            ('end_of_turn', m.end_of_turn_delay_ms),
            ('turn_completed', m.turn_completed_delay_ms),
            ('first_token', m.llm_ttft_ms),
            ('first_sentence', m.first_sentence_ms),
            ('first_audio', m.tts_ttfb_ms),
            ('playout', m.playout_delay_ms),
            ('end_to_end', m.e2e_latency_ms)
        ) as s (step, ms)
        where v.user_id = (select voice_access.whose_figures(of_user))
            -- A turn is not said before its call, nor a day after its end.
            and v.created_at < until::timestamp at time zone time_zone
            and coalesce(v.ended_at, 'infinity')
                >= since::timestamp at time zone time_zone - interval '1 day'
            -- By the day, so that each call's few turns are looked at, not an index of time.
            and (m.timestamp at time zone time_zone)::date >= since
            and (m.timestamp at time zone time_zone)::date < until
            and m.role in ('user', 'assistant') and m.revision > 0 and s.ms is not null
        group by 1, 2, 3
    ) u
    order by 1, 2, 3;
end;

comment on function public.latency_statistics(date, date, text, text, uuid) is
    'Percentiles of the steps from a caller''s last word to the first sound, of all within 2 %';
revoke all on function public.latency_statistics(date, date, text, text, uuid) from public, anon;
grant execute on function public.latency_statistics(date, date, text, text, uuid)
    to authenticated, service_role, voice_reader;
$routine$;

    -- figures/usage_statistics.sql
    execute $routine$
-- What the models used, by the period in which they were asked: tokens, sound, characters and the cost
-- that is known.
--
-- since, until: days; until is not included. unit: day, week, month, quarter or year. time_zone: in
-- which a day begins. of_user: whose calls, null for everybody's.
-- Locks: none. Result: a row for each period, kind, provider and model; cost is null if none of the
-- requests has a price.
-- Everybody's figures come from usage_totals, a user's from the requests of his calls. With the
-- caller's rights, bound when it is made ("begin atomic"). Called by: authenticated, service_role,
-- voice_reader.
create or replace function public.usage_statistics(
    since date,
    until date,
    unit text default 'day',
    time_zone text default 'UTC',
    of_user uuid default null
) returns table (
    period date,
    kind text,
    provider text,
    model text,
    requests bigint,
    input_tokens bigint,
    cached_input_tokens bigint,
    output_tokens bigint,
    total_tokens bigint,
    audio_ms bigint,
    characters bigint,
    cost numeric,
    unpriced_requests bigint
)
language sql stable
begin atomic
    select
        voice_access.period_of(t.quarter_hour, unit, time_zone), t.kind, t.provider, t.model,
        sum(t.requests)::bigint, sum(t.input_tokens)::bigint, sum(t.cached_input_tokens)::bigint,
        sum(t.output_tokens)::bigint, sum(t.total_tokens)::bigint, sum(t.audio_ms)::bigint,
        sum(t.characters)::bigint,
        -- Of the requests that have a price; null if none has.
        case when sum(t.requests) > sum(t.unpriced_requests) then sum(t.cost) end,
        sum(t.unpriced_requests)::bigint
    from voice_worker.usage_totals t
    where (select voice_access.whose_figures(of_user)) is null
        and t.quarter_hour >= since::timestamp at time zone time_zone
        and t.quarter_hour < until::timestamp at time zone time_zone
    group by 1, 2, 3, 4
    having sum(t.requests) <> 0
    union all
    select
        voice_access.period_of(r.created_at, unit, time_zone), r.kind, r.provider, r.model,
        count(*), sum(r.input_tokens), sum(r.cached_input_tokens), sum(r.output_tokens),
        sum(r.total_tokens), coalesce(sum(r.audio_ms), 0), coalesce(sum(r.characters), 0),
        sum(r.cost), count(*) - count(r.cost)
    from public.voice_calls v
    join public.voice_usage r on r.call_id = v.id
    where v.user_id = (select voice_access.whose_figures(of_user))
        -- A request is not made before its call, nor a day after its end.
        and v.created_at < until::timestamp at time zone time_zone
        and coalesce(v.ended_at, 'infinity')
            >= since::timestamp at time zone time_zone - interval '1 day'
        -- By the day, so that each call's few requests are looked at instead of an index of time.
        and (r.created_at at time zone time_zone)::date >= since
        and (r.created_at at time zone time_zone)::date < until
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4;
end;

comment on function public.usage_statistics(date, date, text, text, uuid) is
    'Tokens and known cost by period, kind of model and model; until is not included';
revoke all on function public.usage_statistics(date, date, text, text, uuid) from public, anon;
grant execute on function public.usage_statistics(date, date, text, text, uuid)
    to authenticated, service_role, voice_reader;
$routine$;

    -- figures/user_statistics.sql
    execute $routine$
-- The users who used most, by the calls that they made.
--
-- since, until: days; until is not included. time_zone: in which a day begins. most: how many users.
-- Locks: none. Result: a row for each user, the one with the most tokens first; the row without a user
-- is of calls that are nobody's. A call is unpriced if it has no cost or one of its requests has none.
-- With the caller's rights, bound when it is made ("begin atomic"). Called by: authenticated,
-- service_role, voice_reader.
create or replace function public.user_statistics(
    since date,
    until date,
    time_zone text default 'UTC',
    most int default 100
) returns table (
    user_id uuid,
    user_name text,
    calls bigint,
    failed bigint,
    total_s bigint,
    total_tokens bigint,
    cost numeric,
    unpriced_calls bigint
)
language sql stable
begin atomic
    select
        s.user_id, u.name, s.calls, s.failed, s.total_s, s.total_tokens, s.cost, s.unpriced_calls
    from (
        select
            c.user_id,
            count(*) as calls,
            count(*) filter (where c.status = 'failed') as failed,
            coalesce(sum(c.duration_seconds), 0) as total_s,
            sum(c.total_tokens_used) as total_tokens,
            sum(c.cost) as cost,
            count(*) filter (where c.cost is null or c.unpriced_requests > 0) as unpriced_calls
        from (
            select v.user_id, v.status, v.duration_seconds, v.total_tokens_used, v.cost,
                v.unpriced_requests
            from public.voice_calls v
            where (select voice_access.whose_figures(null)) is null
                and v.created_at >= since::timestamp at time zone time_zone
                and v.created_at < until::timestamp at time zone time_zone
            union all
            select v.user_id, v.status, v.duration_seconds, v.total_tokens_used, v.cost,
                v.unpriced_requests
            from public.voice_calls v
            where v.user_id = (select voice_access.whose_figures(null))
                and v.created_at >= since::timestamp at time zone time_zone
                and v.created_at < until::timestamp at time zone time_zone
        ) c
        group by c.user_id
        order by total_tokens desc, calls desc, c.user_id
        limit most
    ) s
    left join lateral voice_access.visible_user(s.user_id) u on true
    order by s.total_tokens desc, s.calls desc, s.user_id;
end;

comment on function public.user_statistics(date, date, text, int) is
    'The users with the most tokens; the row without a user is of calls that are nobody''s';
revoke all on function public.user_statistics(date, date, text, int) from public, anon;
grant execute on function public.user_statistics(date, date, text, int)
    to authenticated, service_role, voice_reader;
$routine$;
    execute 'lock table public.call_participants, public.model_prices, public.voice_calls, public.voice_messages, public.voice_usage, voice_worker.deleted_usage, voice_worker.latency_totals, voice_worker.usage_totals in access exclusive mode';

    -- access/taken_back.sql
    execute $routine$
-- Revokes unintended rights to our whole tables that default privileges have granted: Supabase grants
-- rights on every new table in public to anon, authenticated and service_role. Runs before all grants.
--
-- TRUNCATE is never granted on the tables of calls: it fires no row triggers and leaves no tombstones.
-- Nor is TRIGGER: a trigger created by service_role would run with the rights of the next writer.
-- Rights to single columns stay, because a team may grant its own. (Revoking a right to a whole table
-- also revokes it for single columns; ours are granted again.)
-- Locks: none.
do $$
declare
    given record;
begin
    for given in
        select c.oid::regclass as home, x.privilege_type as privilege,
            coalesce(quote_ident(r.rolname), 'public') as holder
        from (values
            ('voice_calls', '{SELECT,DELETE}'::text[], '{SELECT,INSERT,UPDATE,DELETE}'::text[]),
            ('voice_messages', '{SELECT,DELETE}', '{SELECT,INSERT,UPDATE,DELETE}'),
            ('call_participants', '{SELECT,DELETE}', '{SELECT,INSERT,UPDATE,DELETE}'),
            ('voice_usage', '{SELECT}', '{SELECT,INSERT,UPDATE,DELETE}'),
            ('model_prices', '{SELECT,DELETE}', null)
        ) m (name, users, service)  -- null: whatever there is
        join pg_class c on c.oid = to_regclass('public.' || m.name)
        cross join lateral aclexplode(c.relacl) x
        left join pg_roles r on r.oid = x.grantee
        where case
            when x.grantee = 0 or r.rolname = 'anon' then true
            when r.rolname = 'authenticated' then x.privilege_type <> all (m.users)
            when r.rolname = 'service_role' then x.privilege_type <> all (m.service)
        end
    loop
        execute format('revoke %s on %s from %s', given.privilege, given.home, given.holder);
    end loop;
end
$$;
$routine$;

    -- figures/active_calls_summary.sql
    execute $routine$
-- Active calls and their participants. The active calls are found before the policies are checked
-- (voice_access.active_calls). Only the user and admins see the user's name and e-mail.
--
-- With the reader's rights. Read by: authenticated, service_role.
create or replace view public.active_calls_summary with (security_invoker = true) as
select
    c.id,
    c.session_id,
    c.room_name,
    c.user_id,
    u.name as user_name,
    u.email as user_email,
    c.status,
    c.started_at,
    c.ai_agent_used,
    p.participant_count,
    p.participants
from public.voice_calls c
left join lateral voice_access.visible_user(c.user_id) u on true
left join lateral (
    select
        count(*) as participant_count,
        coalesce(array_agg(present.name order by present.name), '{}') as participants
    from (
        select distinct on (l.participant_identity)
            coalesce(l.participant_name, l.participant_identity)::text as name
        from public.call_participants l
        where l.call_id = c.id and l.left_at is null
        order by l.participant_identity, l.joined_at desc
    ) present
) p on true
where c.id in (select voice_access.active_calls()) and c.status = 'active';

revoke all on public.active_calls_summary from public, anon, authenticated;
grant select on public.active_calls_summary to authenticated, service_role;
$routine$;

    -- figures/call_analytics.sql
    execute $routine$
-- Calls with the number of their messages. To be asked for a user's calls or for a span of time: it
-- counts messages call by call.
--
-- With the reader's rights. Read by: authenticated, service_role. Not by voice_reader: session_id is the
-- room's name, in which a phone number may stand.
create or replace view public.call_analytics with (security_invoker = true) as
select
    c.id,
    c.session_id,
    c.user_id,
    c.status,
    c.duration_seconds,
    c.ai_agent_used,
    c.total_tokens_used,
    m.message_count,
    m.user_message_count,
    m.assistant_message_count,
    c.created_at,
    c.ended_at
from public.voice_calls c
left join lateral (
    select
        count(*) as message_count,
        count(*) filter (where v.role = 'user') as user_message_count,
        count(*) filter (where v.role = 'assistant') as assistant_message_count
    from public.voice_messages v
    where v.call_id = c.id
) m on true;

revoke all on public.call_analytics from public, anon, authenticated, voice_reader;
grant select on public.call_analytics to authenticated, service_role;
$routine$;

    -- figures/turn_costs.sql
    execute $routine$
-- What each turn cost; the row without a message is of requests that led to none.
--
-- With the reader's rights. Read by: authenticated, service_role, voice_reader.
create or replace view public.turn_costs with (security_invoker = true) as
select
    call_id, message_id, sum(cost) as cost, count(*) as requests,
    count(*) filter (where cost is null) as unpriced_requests,
    count(*) filter (where estimated) as estimated_requests,
    coalesce(sum(total_tokens) filter (where kind in ('llm', 'realtime')), 0) as tokens
from public.voice_usage
group by call_id, message_id;

comment on view public.turn_costs is
    'Cost of each turn; cost is null if none of its requests has a price';

revoke all on public.turn_costs from public, anon, authenticated;
grant select on public.turn_costs to authenticated, service_role, voice_reader;
$routine$;

    -- figures/turn_latency.sql
    execute $routine$
-- An answer with the steps that led to it, those of hearing from the caller's turn right before.
--
-- With the reader's rights. Read by: authenticated, service_role, voice_reader.
create or replace view public.turn_latency with (security_invoker = true) as
select
    a.call_id, a.id as message_id, h.id as heard_message_id, a.timestamp, a.sequence_number,
    a.model_used, a.interrupted, h.transcription_delay_ms, h.end_of_turn_delay_ms,
    h.turn_completed_delay_ms, a.llm_ttft_ms, a.first_sentence_ms, a.tts_ttfb_ms,
    a.playout_delay_ms, a.e2e_latency_ms
from public.voice_messages a
left join lateral (
    select
        u.id, u.role, u.transcription_delay_ms, u.end_of_turn_delay_ms, u.turn_completed_delay_ms
    from public.voice_messages u
    where u.call_id = a.call_id and u.role in ('user', 'assistant')
        and (u.timestamp, u.sequence_number) < (a.timestamp, a.sequence_number)
    order by u.timestamp desc, u.sequence_number desc
    limit 1
) h on h.role = 'user'
where a.role = 'assistant';

comment on view public.turn_latency is
    'Where the time of each answer went, ms; null: not known, or the caller had said nothing before';

revoke all on public.turn_latency from public, anon, authenticated;
grant select on public.turn_latency to authenticated, service_role, voice_reader;
$routine$;

    -- operator/index_usage.sql
    execute $routine$
-- Use and sizes of the indexes of our tables. In the private schema, because it is no user's business
-- and PostgREST would offer it.
--
-- Read by: voice_reader, the owner.
create or replace view voice_worker.index_usage as
select
    s.schemaname || '.' || s.relname as table_name,
    s.indexrelname as index_name,
    s.idx_scan as scans,
    s.idx_tup_read as entries_read,
    pg_relation_size(s.indexrelid) as bytes,
    i.indisunique as keeps_rows_unique,
    d.stats_reset as counted_since
from pg_stat_user_indexes s
join pg_index i on i.indexrelid = s.indexrelid
join pg_stat_database d on d.datname = current_database()
where s.schemaname = 'voice_worker' or s.relid in (
    'public.voice_calls'::regclass, 'public.voice_messages'::regclass,
    'public.call_participants'::regclass, 'public.voice_usage'::regclass
);
comment on column voice_worker.index_usage.counted_since is 'Null: since the database was made';

grant select on voice_worker.index_usage to voice_reader;
$routine$;

    -- operator/table_sizes.sql
    execute $routine$
-- Sizes and rows of our tables. In the private schema, because it is no user's business and PostgREST
-- would offer it.
--
-- Read by: voice_reader, the owner.
create or replace view voice_worker.table_sizes as
select
    s.schemaname || '.' || s.relname as table_name,
    s.n_live_tup as estimated_rows,
    s.n_dead_tup as dead_rows,
    pg_table_size(s.relid) as table_bytes,
    pg_indexes_size(s.relid) as index_bytes,
    pg_total_relation_size(s.relid) as total_bytes,
    greatest(s.last_vacuum, s.last_autovacuum) as vacuumed_at
from pg_stat_user_tables s
where s.schemaname = 'voice_worker' or s.relid in (
    'public.voice_calls'::regclass, 'public.voice_messages'::regclass,
    'public.call_participants'::regclass, 'public.voice_usage'::regclass
);

grant select on voice_worker.table_sizes to voice_reader;
$routine$;

    -- access/auth_users.sql
    execute $routine$
-- On Supabase, a trigger gives each new user a row in our own table of users (follow_auth_user). Users
-- who signed up earlier get theirs once, from bring_auth_users, which the comment on that function asks
-- for. A team fills its own table of users itself. The trigger's name sorts after a team's triggers,
-- which may insert the same row.
--
-- Locks: auth.users against writers while the trigger is created. It waits at most 50 ms for that lock,
-- because our tables are already locked. Called by: nobody; the owner applies it. An owner without the
-- rights to auth.users gets a warning that says what to do, and all else is applied.
do $$
declare
    patience constant text := current_setting('lock_timeout');
begin
    if 'auth_users' = any (voice_worker.left_out()) or not voice_access.users_are_ours() or (
        select count(*) from pg_attribute a
        join pg_class c on c.oid = a.attrelid and c.relname = 'users'
        join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'auth'
        where not a.attisdropped and (a.attname, a.atttypid) in (
            ('id', 'uuid'::regtype), ('email', 'text'::regtype), ('email', 'varchar'::regtype),
            ('raw_user_meta_data', 'jsonb'::regtype)
        )
    ) < 3 or exists (
        select from pg_trigger where tgfoid = 'voice_worker.follow_auth_user()'::regprocedure
    ) then
        return;
    end if;
    perform set_config('lock_timeout', '50ms', true);
    create trigger zz_voice_users_trigger
        after insert or delete or update of email, raw_user_meta_data on auth.users
        for each row execute function voice_worker.follow_auth_user();
    perform set_config('lock_timeout', patience, true), set_config('row_security', 'off', true);
    perform id, email, raw_user_meta_data from auth.users limit 1;  -- that the owner may read them all
    perform set_config('row_security', 'on', true);
    comment on function voice_worker.bring_auth_users(uuid, bigint) is 'to be called: see its file';
exception when insufficient_privilege then
    raise warning 'users who sign up get no row in public.users: % may not make a trigger on auth.users '
        'and read all of it; grant it usage on schema auth, and trigger and select on auth.users, make '
        'it bypassrls, and run db/routines.sql with psql', current_user;
end
$$;
$routine$;

    -- access/ids.sql
    execute $routine$
-- Sets voice_worker.uuid_v7 as the default of our tables' ids; that function does not exist yet when
-- the tables are created. A table that already has the default is not touched.
--
-- Locks: a table against everybody, for a moment, once.
do $$
declare
    home regclass;
begin
    foreach home in array array[
        'public.voice_calls', 'public.voice_messages', 'public.call_participants',
        'public.voice_usage'
    ]::regclass[] loop
        if (
            select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d
            join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
            where d.adrelid = home and a.attname = 'id'
        ) is distinct from 'voice_worker.uuid_v7()' then
            execute format('alter table %s alter column id set default voice_worker.uuid_v7()', home);
        end if;
    end loop;
end
$$;
$routine$;

    -- access/realtime.sql
    execute $routine$
-- Adds the tables that a front end watches to the publication of Supabase Realtime, if there is one.
-- Tables that are already in it stay, and a publication of all tables is not changed. The policies
-- decide who sees which row: Realtime checks them for each subscriber, as authenticated.
--
-- A table that was removed is added again with the next routines, unless left_out names it. Locks: the
-- tables, which are already locked. Called by: nobody; the owner applies it. If the owner does not own
-- the publication, a warning says what to do, and all else is applied.
do $$
declare
    missing text;
begin
    select string_agg(format('public.%I', w.name), ', ' order by w.name) into missing
    from unnest(array['voice_calls', 'voice_messages', 'call_participants']) w (name)
    join pg_publication p on p.pubname = 'supabase_realtime' and not p.puballtables
    where not array[w.name, 'realtime'] && voice_worker.left_out()
    and not exists (
        select from pg_publication_tables t
        where t.pubname = p.pubname and t.schemaname = 'public' and t.tablename = w.name
    );
    if missing is not null then
        execute format('alter publication supabase_realtime add table %s', missing);
    end if;
exception when insufficient_privilege then
    raise warning 'Supabase Realtime sends nothing of calls: % does not own its publication; whoever '
        'does may run: alter publication supabase_realtime add table %', current_user, missing;
end
$$;
$routine$;

    -- access/users.sql
    execute $routine$
-- Rights to our own table of users: signed-in users read their own row, service_role reads everything.
-- A team's own table is not touched, nor is ours once this was done.
--
-- Locks: users against everybody, for a moment, once: when it is new, or restored where no roles were.
do $$
declare
    policies constant name[] := array(
        select polname from pg_policy where polrelid = 'public.users'::regclass
    );
begin
    if not voice_access.users_are_ours() then
        return;
    end if;
    if policies = '{}' then
        revoke all on public.users from public, anon, authenticated;
        grant select on public.users to authenticated;
        grant all on public.users to service_role;
        create policy users_select_own on public.users for select to authenticated
            using (id = (select auth.uid()));
    end if;
    if 'users_service_all' <> all (policies) then
        create policy users_service_all on public.users for all to service_role
            using (true) with check (true);
    end if;
end
$$;
$routine$;

    -- calls/block_reopen.sql
    execute $routine$
-- Keeps the status and times of an ended call unchanged by late writes, and prevents a step back: an
-- active call does not become pending again. There are two exceptions: the worker's batch
-- (voice_worker.applying is on, set by a role that may use the private schema), and a front end that
-- ends a call which a sweep had ended.
--
-- Trigger before update of one row. It is the first of the triggers that change a row: Postgres fires
-- them in the order of their names. Locks: none. Nobody calls it.
create or replace function voice_worker.block_reopen() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('voice_worker.applying', true) = 'on'
        and has_schema_privilege('voice_worker', 'usage')
    then
        return new;
    end if;
    if old.status in ('completed', 'failed') then
        new.started_at := old.started_at;
        new.connected_at := old.connected_at;
        -- The condition of is_swept, which a front end may not call.
        if old.status = 'failed' and old.end_reason in ('worker_lost', 'not_served')
            and old.ended_at = old.swept_at and new.status in ('completed', 'failed')
            and (new.status, new.ended_at) is distinct from (old.status, old.ended_at)
        then
            new.ended_at := coalesce(new.ended_at, old.ended_at);
            new.end_reason := nullif(new.end_reason, old.end_reason);
            new.swept_at := null;
            return new;
        end if;
        new.ended_at := coalesce(old.ended_at, new.ended_at);
        new.end_reason := old.end_reason;
    end if;
    new.status := old.status;
    return new;
end
$$;

revoke all on function voice_worker.block_reopen() from public;

create or replace trigger voice_calls_block_reopen_trigger
    before update of status, started_at, connected_at, ended_at, end_reason on public.voice_calls
    for each row when (
        old.status in ('completed', 'failed')
        or (old.status = 'active' and new.status = 'pending')
    )
    execute function voice_worker.block_reopen();
$routine$;

    -- calls/bury_calls.sql
    execute $routine$
-- Writes a tombstone for each deleted call, so that its late events are discarded, and deletes its
-- refused events.
--
-- Trigger after delete, once per statement; with the owner's rights, since the user who deletes a call
-- may not write tombstones. Locks: the tombstones it writes. Nobody calls it.
create or replace function voice_worker.bury_calls() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into voice_worker.tombstones (call_id, room_sid)
    select d.id, case when t.room_sid is null then d.room_sid end
    from deleted d left join voice_worker.tombstones t on t.room_sid = d.room_sid
    on conflict (call_id) do update set
        room_sid = coalesce(tombstones.room_sid, excluded.room_sid),
        deleted_at = excluded.deleted_at;
    -- They hold what was said, and would never be stored any more.
    delete from voice_worker.refused_events r using deleted d
    where r.call_id = d.id;
    return null;
end
$$;

revoke all on function voice_worker.bury_calls() from public;

create or replace trigger voice_calls_tombstone_trigger
    after delete on public.voice_calls referencing old table as deleted
    for each statement execute function voice_worker.bury_calls();
$routine$;

    -- calls/calculate_call_duration.sql
    execute $routine$
-- Computes duration_seconds from the times of a call: whole seconds from its connect (or start, or
-- creation) to its end; 0 if a clock stepped back; null until it ends.
--
-- Trigger before insert or update of one row; with the writer's rights and settings, which is cheaper.
-- Locks: none. Nobody calls it.
create or replace function voice_worker.calculate_call_duration() returns trigger
language plpgsql as $$
begin
    new.duration_seconds := case when new.ended_at is not null then least(2147483647, greatest(
        0, floor(extract(epoch from new.ended_at) - extract(epoch from coalesce(
            new.connected_at, new.started_at, new.created_at
        )))
    )) end;
    return new;
end
$$;

revoke all on function voice_worker.calculate_call_duration() from public;

create or replace trigger voice_calls_calculate_duration_trigger
    before insert or update on public.voice_calls
    for each row when (new.ended_at is not null or new.duration_seconds is not null)
    execute function voice_worker.calculate_call_duration();
$routine$;

    -- calls/check_user_call.sql
    execute $routine$
-- Limits what a user writes into a call: sizes, and times, which must be between its creation and now
-- (they are corrected, because a browser's wrong clock must not lose the end of a call). Marks the row
-- as made by a user, whatever the name of the role.
--
-- Trigger before insert or update of one row, with the owner's rights; only for writers with limits
-- (access/count_user_write.sql). Its name makes it fire before the duration is computed. Locks: none.
-- Nobody calls it.
create or replace function voice_worker.check_user_call() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    was public.voice_calls;
    earliest timestamptz;
begin
    perform voice_worker.bound_size('transcript', octet_length(new.transcript), 1048576);
    perform voice_worker.bound_size('metadata', octet_length(new.metadata::text), 65536);
    perform voice_worker.bound_size('recording_url', octet_length(new.recording_url), 2048);
    -- An upsert of a row that is there does nothing, or is an update, which is counted by itself.
    if tg_op = 'UPDATE' or not exists (select from public.voice_calls where id = new.id) then
        perform voice_worker.count_user_write(octet_length(new::text));
    end if;
    if tg_op = 'INSERT' then
        new.made_by := 'authenticated';
        perform voice_worker.bound_open_calls(new.user_id);
    else
        was := old;
    end if;
    -- A row that the worker stored late, Postgres having been away, is younger than its call.
    earliest := least(new.created_at, was.started_at);
    if new.started_at <> was.started_at or was.started_at is null then
        new.started_at := voice_worker.at_most_now(new.started_at, earliest);
    end if;
    if new.connected_at <> was.connected_at or was.connected_at is null then
        new.connected_at := voice_worker.at_most_now(new.connected_at, earliest);
    end if;
    if new.ended_at <> was.ended_at or was.ended_at is null then
        new.ended_at := voice_worker.at_most_now(new.ended_at, earliest);
    end if;
    return new;
end
$$;

revoke all on function voice_worker.check_user_call() from public;

create or replace trigger voice_calls_bound_user_trigger
    before insert or update on public.voice_calls
    for each row when (not has_table_privilege('public.voice_calls'::regclass, 'update'))
    execute function voice_worker.check_user_call();
$routine$;

    -- calls/comments.sql
    execute $routine$
-- Describes the columns of voice_calls, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on column public.voice_calls.session_id is
    'Name of the LiveKit room, or name@room_sid when the name was taken';
comment on column public.voice_calls.room_name is 'Name for people';
comment on column public.voice_calls.transcript is
    'What was heard: [minutes:seconds since the call was connected] who: what';
comment on column public.voice_calls.total_tokens_used is
    'Tokens of the messages plus those of model requests that belong to no message';
comment on column public.voice_calls.room_sid is 'One LiveKit room session is one call';
comment on column public.voice_calls.usage_complete is
    'At the end of the call, whether every model of every job of it told of its requests';
comment on column public.voice_calls.cost is
    'Sum over voice_usage of what has a price; null: nothing has';
comment on column public.voice_calls.callee_id is
    'The user who was called, between users; null else';
comment on column public.voice_calls.made_by is 'Role that inserted the row';
comment on column public.voice_calls.usage_gaps is
    'Why usage_complete is false: models that told nothing, one line each';
comment on column public.voice_calls.unpriced_requests is
    'Requests whose model has no price: cost lacks them';
comment on column public.voice_calls.transcript_digest is
    'md5 of the transcript as it was written here; any other, or none, is somebody''s own, and stays';
$routine$;

    -- calls/free_name_of_new_call.sql
    execute $routine$
-- Frees the name of a new row: a row of the worker or of a server takes the name from any user's row, a
-- user's row from those of other users. An insert whose id already exists takes no name.
--
-- Trigger before insert of one row, with the owner's rights. Locks: as free_name, and for users' rows
-- the name. Nobody calls it.
create or replace function voice_worker.free_name_of_new_call() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from public.voice_calls where id = new.id) then
        return new;
    end if;
    if new.made_by = 'authenticated' then
        -- Of two users who take it at once the second one sees the first one's row. A server may
        -- insert very many rows in one transaction.
        perform pg_advisory_xact_lock(hashtext('voice_worker.name'), hashtext(new.session_id));
    end if;
    perform voice_worker.free_name(
        new.session_id, case when new.made_by = 'authenticated' then new.user_id end
    );
    return new;
end
$$;

revoke all on function voice_worker.free_name_of_new_call() from public;

create or replace trigger voice_calls_free_name_trigger
    before insert on public.voice_calls
    for each row execute function voice_worker.free_name_of_new_call();
$routine$;

    -- calls/grants.sql
    execute $routine$
-- Rights to voice_calls: users may read the whole table, because front ends select all columns, and may
-- write single columns; the policies limit the rows. The worker may not delete records. voice_reader
-- may read figures, but no words and no names of people. (session_id is the room's name, which may
-- contain a phone number.)
grant select, delete on public.voice_calls to authenticated;
grant insert (
    id, user_id, session_id, room_name, status, started_at, connected_at, ended_at, recording_url,
    transcript, ai_agent_used, agent_identity, metadata
) on public.voice_calls to authenticated;
grant update (status, started_at, connected_at, ended_at, recording_url, transcript, metadata)
    on public.voice_calls to authenticated;
grant select, insert, update, delete on public.voice_calls to service_role;
grant select, insert, update on public.voice_calls to voice_worker;
revoke select (session_id) on public.voice_calls from voice_reader;
grant select (
    id, user_id, callee_id, status, started_at, connected_at, ended_at,
    duration_seconds, ai_agent_used, agent_identity, total_tokens_used, created_at, updated_at,
    room_sid, job_id, job_started_at, worker_id, end_reason, swept_at, usage_complete, usage_gaps,
    cost, unpriced_requests, made_by
) on public.voice_calls to voice_reader;
$routine$;

    -- calls/policies.sql
    execute $routine$
-- Which rows of voice_calls a role may read and write. "(select f())" is computed once per query, "f()"
-- once per row. No policy here reads another table under row level security, so nothing recurses.
--
-- Reading: admins all calls, users their own calls and those they were in or called in. Policies are
-- joined by OR, and the check for an admin comes first: otherwise Postgres would look up the owner of
-- each row for admins too.
-- Writing: users their own calls, admins and the worker all. The name that a user gives to a call can't
-- block others (calls/free_name.sql). voice_reader reads the columns it is granted.
-- service_role has a policy too: without BYPASSRLS, as on some managed Postgres, it would see no row.
alter table public.voice_calls enable row level security;
drop policy if exists voice_calls_select_own on public.voice_calls;
create policy voice_calls_select_own on public.voice_calls for select to authenticated
    using (
        (select voice_access.is_admin())
        or user_id = (select auth.uid())
        or id in (select voice_access.calls_taken_part_in())
    );
drop policy if exists voice_calls_insert_own on public.voice_calls;
create policy voice_calls_insert_own on public.voice_calls for insert to authenticated
    with check (user_id = (select auth.uid()));
drop policy if exists voice_calls_update_own on public.voice_calls;
create policy voice_calls_update_own on public.voice_calls for update to authenticated
    using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
drop policy if exists voice_calls_delete_own on public.voice_calls;
create policy voice_calls_delete_own on public.voice_calls for delete to authenticated
    using (user_id = (select auth.uid()));
drop policy if exists voice_calls_admin_all on public.voice_calls;
create policy voice_calls_admin_all on public.voice_calls for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists voice_calls_worker_all on public.voice_calls;
create policy voice_calls_worker_all on public.voice_calls for all to voice_worker
    using (true) with check (true);
drop policy if exists voice_calls_service_all on public.voice_calls;
create policy voice_calls_service_all on public.voice_calls for all to service_role
    using (true) with check (true);
drop policy if exists voice_calls_reader_select on public.voice_calls;
create policy voice_calls_reader_select on public.voice_calls for select to voice_reader
    using (true);
$routine$;

    -- calls/take_transcript_back.sql
    execute $routine$
-- Removes the transcript of a call that is reopened because its worker came back. A transcript that
-- another writer has written stays.
--
-- Trigger before update of one row. Locks: none. Nobody calls it.
create or replace function voice_worker.take_transcript_back() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if md5(new.transcript) = new.transcript_digest then
        new.transcript := null;
        new.transcript_digest := null;
    end if;
    return new;
end
$$;

revoke all on function voice_worker.take_transcript_back() from public;

create or replace trigger voice_calls_no_transcript_trigger
    before update of status on public.voice_calls
    for each row
    when (old.status in ('completed', 'failed') and new.status not in ('completed', 'failed'))
    execute function voice_worker.take_transcript_back();
$routine$;

    -- calls/touch_updated_at.sql
    execute $routine$
-- updated_at is the time of the last statement that changed the call.
--
-- Trigger before update of one row. Locks: none. Nobody calls it.
create or replace function voice_worker.touch_updated_at() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.updated_at := now();
    return new;
end
$$;

revoke all on function voice_worker.touch_updated_at() from public;

create or replace trigger voice_calls_updated_at_trigger
    before update on public.voice_calls
    for each row when (old.* is distinct from new.*)
    execute function voice_worker.touch_updated_at();
$routine$;

    -- calls/write_transcript_at_end.sql
    execute $routine$
-- Writes the transcript of a call that a front end or a sweep ends. For calls that the worker ends, its
-- batch writes the transcript.
--
-- Trigger after update of one row, with the owner's rights, since a front end may not read all of the
-- call. Locks: the call's row. Nobody calls it. An error in one call's turns is only a warning in
-- Postgres' log, so that this call and the others of a sweep still end.
create or replace function voice_worker.write_transcript_at_end() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('voice_worker.applying', true) is distinct from 'on' then
        begin
            perform voice_worker.write_transcripts(array[new.id]);
        exception when others then
            raise warning 'call % has ended without its transcript: % %', new.id, sqlstate, sqlerrm;
        end;
    end if;
    return null;
end
$$;

revoke all on function voice_worker.write_transcript_at_end() from public;

create or replace trigger voice_calls_transcript_trigger
    after update of status on public.voice_calls
    for each row
    when (new.status in ('completed', 'failed') and old.status not in ('completed', 'failed'))
    execute function voice_worker.write_transcript_at_end();
$routine$;

    -- figures/add_latency_totals.sql
    execute $routine$
-- Keeps voice_worker.latency_totals, the latencies of turns by quarter of an hour and model, equal to
-- the worker's voice_messages, by adding each statement's rows.
--
-- Trigger after each statement, with the transition table "changed"; the argument is 1 to add the
-- rows, -1 to take them away. An update takes the old rows away and adds the new ones.
-- With the owner's rights. Locks: the totals it adds to, in one order for all; eight rows (slots) for
-- each quarter and model, so that workers seldom wait for each other. Nobody calls it.
-- When the triggers are new, all turns that are there are counted in the same transaction: nothing is
-- counted twice or missed. Writers of voice_messages wait for that.
create or replace function voice_worker.add_latency_totals() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    slots constant int := 8;
    sign constant int := tg_argv[0];
begin
    -- An upsert calls the triggers of both insert and update.
    if not exists (select from changed) then
        return null;
    end if;
    insert into voice_worker.latency_totals as t
    select
        date_bin('15 minutes', m.timestamp, 'epoch') as quarter_hour, m.model_used,
        pg_backend_pid() % slots,
        sign * sum(voice_access.latency_mark(m.transcription_delay_ms, w -> 'transcription_delay_ms')),
        sign * sum(voice_access.latency_mark(m.end_of_turn_delay_ms, w -> 'end_of_turn_delay_ms')),
        sign * sum(voice_access.latency_mark(m.turn_completed_delay_ms, w -> 'turn_completed_delay_ms')),
        sign * sum(voice_access.latency_mark(m.llm_ttft_ms, w -> 'llm_ttft_ms')),
        sign * sum(voice_access.latency_mark(m.first_sentence_ms, w -> 'first_sentence_ms')),
        sign * sum(voice_access.latency_mark(m.tts_ttfb_ms, w -> 'tts_ttfb_ms')),
        sign * sum(voice_access.latency_mark(m.playout_delay_ms, w -> 'playout_delay_ms')),
        sign * sum(voice_access.latency_mark(m.e2e_latency_ms, w -> 'e2e_latency_ms'))
    from changed m
    cross join lateral (select m.metadata -> 'implausible') as i (w)
    -- What others than the worker write is nobody's measurement.
    where m.role in ('user', 'assistant') and m.revision > 0 and (
        w is not null
        or num_nonnulls(
            m.transcription_delay_ms, m.end_of_turn_delay_ms, m.turn_completed_delay_ms,
            m.llm_ttft_ms, m.first_sentence_ms, m.tts_ttfb_ms, m.playout_delay_ms, m.e2e_latency_ms
        ) > 0
    )
    group by 1, 2
    order by 1, 2  -- one order of locks for all
    on conflict (quarter_hour, model, slot) do update set
        transcription = t.transcription + excluded.transcription,
        end_of_turn = t.end_of_turn + excluded.end_of_turn,
        turn_completed = t.turn_completed + excluded.turn_completed,
        first_token = t.first_token + excluded.first_token,
        first_sentence = t.first_sentence + excluded.first_sentence,
        first_audio = t.first_audio + excluded.first_audio,
        playout = t.playout + excluded.playout,
        end_to_end = t.end_to_end + excluded.end_to_end;
    return null;
end
$$;

revoke all on function voice_worker.add_latency_totals() from public;

do $$
declare
    new constant boolean := not exists (
        select from pg_trigger
        where tgrelid = 'public.voice_messages'::regclass and tgname = 'voice_messages_latency_trigger'
    );
begin
    create or replace trigger voice_messages_latency_trigger
        after insert on public.voice_messages referencing new table as changed
        for each statement execute function voice_worker.add_latency_totals('1');
    create or replace trigger voice_messages_latency_delete_trigger
        after delete on public.voice_messages referencing old table as changed
        for each statement execute function voice_worker.add_latency_totals('-1');
    create or replace trigger voice_messages_latency_update_old_trigger
        after update on public.voice_messages referencing old table as changed
        for each statement execute function voice_worker.add_latency_totals('-1');
    create or replace trigger voice_messages_latency_update_new_trigger
        after update on public.voice_messages referencing new table as changed
        for each statement execute function voice_worker.add_latency_totals('1');
    if new then
        call voice_worker.recount_latency();
    end if;
end
$$;
$routine$;

    -- figures/latency_totals.sql
    execute $routine$
-- Who reads voice_worker.latency_totals. It is out of reach by name: only latency_statistics reads it
-- for users, and for a signed-in one who is no admin it is empty.
alter table voice_worker.latency_totals enable row level security;
drop policy if exists latency_totals_admin_select on voice_worker.latency_totals;
create policy latency_totals_admin_select on voice_worker.latency_totals for select to authenticated
    using ((select voice_access.is_admin()));
drop policy if exists latency_totals_reader_select on voice_worker.latency_totals;
create policy latency_totals_reader_select on voice_worker.latency_totals for select
    to voice_reader, service_role
    using (true);

grant select on voice_worker.latency_totals to authenticated, service_role, voice_reader;
$routine$;

    -- legs/calculate_leg_duration.sql
    execute $routine$
-- Computes duration_seconds from the times of a leg: whole seconds from join to leave; 0 if a clock
-- stepped back; null until it ends.
--
-- Trigger before insert or update of one row; with the writer's rights and settings, which is cheaper.
-- Locks: none. Nobody calls it.
create or replace function voice_worker.calculate_leg_duration() returns trigger
language plpgsql as $$
begin
    new.duration_seconds := case when new.left_at is not null then least(2147483647, greatest(
        0, floor(extract(epoch from new.left_at) - extract(epoch from new.joined_at))
    )) end;
    return new;
end
$$;

revoke all on function voice_worker.calculate_leg_duration() from public;

create or replace trigger call_participants_calculate_duration_trigger
    before insert or update on public.call_participants
    for each row when (new.left_at is not null or new.duration_seconds is not null)
    execute function voice_worker.calculate_leg_duration();
$routine$;

    -- legs/check_user_leg.sql
    execute $routine$
-- Limits what a user writes into a leg: the size of metadata, and times, which are corrected to be
-- within the last day.
--
-- Trigger before insert or update of one row, with the owner's rights; only for writers with limits
-- (access/count_user_write.sql). Its name makes it fire before the duration is computed. Locks: none.
-- Nobody calls it.
create or replace function voice_worker.check_user_leg() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    was public.call_participants;
begin
    perform voice_worker.bound_size('metadata', octet_length(new.metadata::text), 65536);
    -- An upsert of a row that is there does nothing, or is an update, which is counted by itself.
    if tg_op = 'UPDATE' or not exists (select from public.call_participants where id = new.id) then
        perform voice_worker.count_user_write(octet_length(new::text));
    end if;
    if tg_op = 'UPDATE' then
        was := old;
    end if;
    if new.joined_at <> was.joined_at or was.joined_at is null then
        new.joined_at := voice_worker.at_most_now(new.joined_at, now() - interval '1 day');
    end if;
    if new.left_at <> was.left_at or was.left_at is null then
        new.left_at := voice_worker.at_most_now(new.left_at, new.joined_at);
    end if;
    return new;
end
$$;

revoke all on function voice_worker.check_user_leg() from public;

create or replace trigger call_participants_bound_user_trigger
    before insert or update on public.call_participants
    for each row when (not has_table_privilege('public.call_participants'::regclass, 'update'))
    execute function voice_worker.check_user_leg();
$routine$;

    -- legs/comments.sql
    execute $routine$
-- Describes the columns of call_participants, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on column public.call_participants.kind is 'Kind of the LiveKit participant';
comment on column public.call_participants.direction is 'Of a phone: inbound or outbound';
comment on column public.call_participants.answered_at is 'Of a phone: when it was answered';
comment on column public.call_participants.closed_by_sweep is
    'left_at was set because the worker was lost; reopened if it comes back';
comment on column public.call_participants.revision is
    'Newest recorded version of this row; older ones change nothing';
$routine$;

    -- legs/grants.sql
    execute $routine$
-- Rights to call_participants: reading by table for users, because front ends ask for all columns,
-- writing by column; the policies say which rows. Update and delete serve admins: no policy lets a user
-- do either. The worker deletes nothing that was recorded. voice_reader reads figures: nothing that
-- names a person.
grant select, delete on public.call_participants to authenticated;
grant insert (
    id, call_id, user_id, participant_identity, participant_name, participant_type, joined_at,
    left_at, is_muted, metadata
) on public.call_participants to authenticated;
grant update (participant_name, participant_type, left_at, is_muted, metadata)
    on public.call_participants to authenticated;
grant select, insert, update, delete on public.call_participants to service_role;
grant select, insert, update on public.call_participants to voice_worker;
grant select (
    id, call_id, user_id, participant_type, joined_at, left_at, duration_seconds, is_muted,
    participant_sid, kind, disconnect_reason, closed_by_sweep, direction, answered_at
) on public.call_participants to voice_reader;
$routine$;

    -- legs/policies.sql
    execute $routine$
-- Which rows of call_participants a role may read and write. A leg is visible to its user, and to all
-- who see its call: the policies of voice_calls apply to the subquery. The check for an admin comes
-- before the lookup of a row's call.
--
-- A leg opens the call to its user. So only the call's owner may add one, only for themselves, and only
-- of the type user. users.role says who is an admin, LiveKit says who is the agent.
alter table public.call_participants enable row level security;
drop policy if exists call_participants_select_own on public.call_participants;
create policy call_participants_select_own on public.call_participants for select to authenticated
    using (
        (select voice_access.is_admin())
        or user_id = (select auth.uid())
        or exists (select from public.voice_calls c where c.id = call_id)
    );
drop policy if exists call_participants_insert_own on public.call_participants;
create policy call_participants_insert_own on public.call_participants for insert to authenticated
    with check (
        (user_id is null or user_id = (select auth.uid()))
        and coalesce(participant_type, 'user') = 'user'
        and exists (
            select from public.voice_calls c
            where c.id = call_id and c.user_id = (select auth.uid())
        )
    );
drop policy if exists call_participants_admin_all on public.call_participants;
create policy call_participants_admin_all on public.call_participants for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists call_participants_worker_all on public.call_participants;
create policy call_participants_worker_all on public.call_participants for all to voice_worker
    using (true) with check (true);
drop policy if exists call_participants_service_all on public.call_participants;
create policy call_participants_service_all on public.call_participants for all to service_role
    using (true) with check (true);
drop policy if exists call_participants_reader_select on public.call_participants;
create policy call_participants_reader_select on public.call_participants for select
    to voice_reader using (true);
$routine$;

    -- messages/bury_rows.sql
    execute $routine$
-- Records a deleted turn or leg whose call stays, so that neither its next revision nor a leftover file
-- restores it. Rows that are deleted with their call are covered by the call's tombstone. A turn that
-- is deleted from an ended call is also removed from its transcript.
--
-- Trigger after delete, once per statement, on messages and legs; with the owner's rights. Locks: the
-- rows of the calls whose transcript changes. Nobody calls it.
create or replace function voice_worker.bury_rows() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into voice_worker.deleted_rows (id, call_id)
    select d.id, d.call_id from deleted d
    where exists (select from public.voice_calls c where c.id = d.call_id)
    on conflict do nothing;
    -- What was deleted of a call that has ended is not kept in its transcript.
    perform voice_worker.write_transcripts(array(select distinct d.call_id from deleted d));
    return null;
end
$$;

revoke all on function voice_worker.bury_rows() from public;

create or replace trigger voice_messages_tombstone_trigger
    after delete on public.voice_messages referencing old table as deleted
    for each statement execute function voice_worker.bury_rows();
create or replace trigger call_participants_tombstone_trigger
    after delete on public.call_participants referencing old table as deleted
    for each statement execute function voice_worker.bury_rows();
$routine$;

    -- messages/check_user_message.sql
    execute $routine$
-- Limits what a user writes: sizes, and the time, which must be between the call's creation and now (it
-- is corrected, because a browser's wrong clock must not lose the message). Records who wrote the row.
-- Only the worker reports usage: tokens that a front end sends are not counted.
--
-- Trigger before insert or update of one row, with the owner's rights; only for writers with limits
-- (access/count_user_write.sql). Locks: none. Nobody calls it.
create or replace function voice_worker.check_user_message() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform voice_worker.bound_size('content', octet_length(new.content), 65536);
    perform voice_worker.bound_size('metadata', octet_length(new.metadata::text), 65536);
    perform voice_worker.bound_size('audio_url', octet_length(new.audio_url), 2048);
    -- An upsert of a row that is there does nothing, or is an update, which is counted by itself.
    if tg_op = 'UPDATE' or not exists (select from public.voice_messages where id = new.id) then
        perform voice_worker.count_user_write(octet_length(new::text));
    end if;
    if tg_op = 'INSERT' then
        new.author_id := auth.uid();
        new.tokens_used := 0;
        new.timestamp := voice_worker.at_most_now(new.timestamp, (
            select least(created_at, started_at) from public.voice_calls where id = new.call_id
        ));
    end if;
    return new;
end
$$;

revoke all on function voice_worker.check_user_message() from public;

create or replace trigger voice_messages_bound_user_trigger
    before insert or update on public.voice_messages
    for each row when (not has_table_privilege('public.voice_messages'::regclass, 'update'))
    execute function voice_worker.check_user_message();
$routine$;

    -- messages/comments.sql
    execute $routine$
-- Describes the columns of voice_messages, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on column public.voice_messages.content is
    'What was said: of a reply that was cut, what was heard of it';
comment on column public.voice_messages.tokens_used is
    'Language-model tokens of the requests that led to this turn';
comment on column public.voice_messages.participant_identity is 'Who spoke; null: unknown';
comment on column public.voice_messages.transcription_delay_ms is
    'End of speech to its final transcript';
comment on column public.voice_messages.end_of_turn_delay_ms is
    'End of speech to the decision that the turn is over';
comment on column public.voice_messages.llm_ttft_ms is 'Request to the first token';
comment on column public.voice_messages.tts_ttfb_ms is 'First text to the first audio of it';
comment on column public.voice_messages.e2e_latency_ms is
    'End of the caller''s speech to the agent''s first sound';
comment on column public.voice_messages.revision is
    'Newest recorded version of this row; older ones change nothing';
comment on column public.voice_messages.generated_content is
    'All that the model wrote for the turn; null: nothing beyond content';
comment on column public.voice_messages.turn_completed_delay_ms is
    'Time in the agent''s on_user_turn_completed';
comment on column public.voice_messages.first_sentence_ms is 'Request to the first whole sentence';
comment on column public.voice_messages.playout_delay_ms is
    'First audio to the first sound that is played';
$routine$;

    -- messages/count_message_tokens.sql
    execute $routine$
-- Keeps total_tokens_used of a call, the tokens of its messages and of its language-model requests
-- that belong to no message, by adding the difference of each statement.
--
-- Trigger after each statement, one for each event, since a transition table belongs to one; with the
-- owner's rights, since row level security would silently hide the call from a participant's insert.
-- Locks: the rows of the calls (add_tokens). Nobody calls it.
create or replace function voice_worker.count_message_tokens() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    -- Of each row its call and its tokens: as it is now, and as it was.
    now_of uuid[];
    now_tokens int[];
    was_of uuid[];
    was_tokens int[];
    calls uuid[];
    tokens bigint[];
begin
    if tg_op <> 'DELETE' then
        select array_agg(call_id), array_agg(tokens_used) into now_of, now_tokens
        from new_rows where tokens_used <> 0;
    end if;
    if tg_op <> 'INSERT' then
        select array_agg(call_id), array_agg(tokens_used) into was_of, was_tokens
        from old_rows where tokens_used <> 0;
    end if;
    if now_of is null and was_of is null then
        return null;
    end if;
    select array_agg(d.call_id), array_agg(d.n) into calls, tokens from (
        select r.call_id, sum(r.n) as n from (
            select * from unnest(now_of, now_tokens) as r (call_id, n)
            union all select r.call_id, -r.n from unnest(was_of, was_tokens) as r (call_id, n)
        ) r group by r.call_id
    ) d where d.n <> 0;
    if calls is not null then
        perform voice_worker.add_tokens(calls, tokens);
    end if;
    return null;
end
$$;

revoke all on function voice_worker.count_message_tokens() from public;

create or replace trigger voice_messages_update_tokens_trigger
    after insert on public.voice_messages referencing new table as new_rows
    for each statement execute function voice_worker.count_message_tokens();
create or replace trigger voice_messages_update_tokens_update_trigger
    after update on public.voice_messages
    referencing old table as old_rows new table as new_rows
    for each statement execute function voice_worker.count_message_tokens();
create or replace trigger voice_messages_update_tokens_delete_trigger
    after delete on public.voice_messages referencing old table as old_rows
    for each statement execute function voice_worker.count_message_tokens();
$routine$;

    -- messages/grants.sql
    execute $routine$
-- Rights to voice_messages: reading by table for users, because front ends ask for all columns,
-- writing by column; the policies say which rows. Update and delete serve admins: no policy lets a user
-- do either. The worker deletes nothing that was recorded. voice_reader reads figures: nothing that was
-- said, and nothing that names a person.
grant select, delete on public.voice_messages to authenticated;
grant insert (
    id, call_id, role, content, audio_url, audio_duration_ms, timestamp, sequence_number,
    tokens_used, model_used, metadata
) on public.voice_messages to authenticated;
grant update (content, audio_url, audio_duration_ms, metadata)
    on public.voice_messages to authenticated;
grant select, insert, update, delete on public.voice_messages to service_role;
grant select (generated_content, turn_completed_delay_ms, first_sentence_ms, playout_delay_ms)
    on public.voice_messages to service_role;
grant select, insert, update on public.voice_messages to voice_worker;
grant select (
    id, call_id, role, audio_duration_ms, timestamp, sequence_number, tokens_used, model_used,
    interrupted, speech_id, speech_started_at, speech_ended_at, transcription_delay_ms,
    end_of_turn_delay_ms, turn_completed_delay_ms, llm_ttft_ms, first_sentence_ms, tts_ttfb_ms,
    playout_delay_ms, e2e_latency_ms, revision
) on public.voice_messages to voice_reader;
$routine$;

    -- messages/keep_message_number.sql
    execute $routine$
-- A message keeps the number that it has.
--
-- Trigger before update of one row. Locks: none. Nobody calls it.
create or replace function voice_worker.keep_message_number() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.sequence_number := old.sequence_number;
    return new;
end
$$;

revoke all on function voice_worker.keep_message_number() from public;

create or replace trigger voice_messages_keep_sequence_trigger
    before update of sequence_number on public.voice_messages
    for each row when (old.sequence_number is not null)
    execute function voice_worker.keep_message_number();
$routine$;

    -- messages/number_message.sql
    execute $routine$
-- Numbers of a call's messages are unique, increase and never change. A number that is missing, taken,
-- behind or too far ahead becomes the next one, so that two writers who counted to the same number
-- both succeed.
--
-- Trigger before insert of one row, with the owner's rights: row level security would hide the call
-- from a participant's insert. It fires before ON CONFLICT is looked at, so a message whose id is
-- there already is left alone: a replay must not use up numbers. A worker's batch comes with its
-- numbers; nobody else can claim that of his rows.
-- Locks: the call's row. Nobody calls it.
create or replace function voice_worker.number_message() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
-- A plan that was made while the table was small, or unknown, stays with the session: it may read the
-- whole call for each message. Only the end of the index is read.
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
    -- A number further ahead is no counting but a mistake, and could use up the range of int.
    widest_gap constant int := 1000;
    -- Nor can many such steps use it up: from here on each number is the next.
    last_step constant int := 1000000000;
    newest int;
begin
    perform from public.voice_calls where id = new.call_id for no key update;
    if exists (select from public.voice_messages where id = new.id) then
        return new;
    end if;
    select sequence_number into newest from public.voice_messages
    where call_id = new.call_id and sequence_number is not null
    order by sequence_number desc limit 1;
    newest := coalesce(newest, 0);
    if new.sequence_number is null
        or new.sequence_number not between newest + 1 and least(newest + widest_gap, last_step)
    then
        new.sequence_number := newest + 1;
    end if;
    return new;
end
$$;

revoke all on function voice_worker.number_message() from public;

create or replace trigger voice_messages_sequence_trigger
    before insert on public.voice_messages
    for each row
    -- A batch of the worker's comes with its numbers; nobody else can claim that of his rows.
    when (
        current_setting('voice_worker.applying', true) is distinct from 'on'
        or not has_schema_privilege('voice_worker', 'usage')
    )
    execute function voice_worker.number_message();
$routine$;

    -- messages/policies.sql
    execute $routine$
-- Which rows of voice_messages a role may read and write. A message is visible if its call is: the
-- policies of voice_calls apply to the subquery. The check for an admin comes before the lookup of a
-- row's call. Users write only messages of users, into an active call or their own; only the worker
-- writes what the agent said and did.
alter table public.voice_messages enable row level security;
drop policy if exists voice_messages_select_own on public.voice_messages;
create policy voice_messages_select_own on public.voice_messages for select to authenticated
    using (
        (select voice_access.is_admin())
        or exists (select from public.voice_calls c where c.id = call_id)
    );
drop policy if exists voice_messages_insert_own on public.voice_messages;
create policy voice_messages_insert_own on public.voice_messages for insert to authenticated
    with check (
        role = 'user'
        and exists (
            select from public.voice_calls c
            where c.id = call_id
                and (c.user_id = (select auth.uid()) or c.status in ('pending', 'active'))
        )
    );
drop policy if exists voice_messages_admin_all on public.voice_messages;
create policy voice_messages_admin_all on public.voice_messages for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists voice_messages_worker_all on public.voice_messages;
create policy voice_messages_worker_all on public.voice_messages for all to voice_worker
    using (true) with check (true);
drop policy if exists voice_messages_service_all on public.voice_messages;
create policy voice_messages_service_all on public.voice_messages for all to service_role
    using (true) with check (true);
drop policy if exists voice_messages_reader_select on public.voice_messages;
create policy voice_messages_reader_select on public.voice_messages for select to voice_reader
    using (true);
$routine$;

    -- messages/write_transcript_again.sql
    execute $routine$
-- Writes the transcript again when an admin has changed the words of a turn, so that removed words do
-- not stay in it.
--
-- Trigger after update of one row, with the owner's rights. Not for the worker's batch, which writes
-- transcripts itself. Locks: the call's row. Nobody calls it.
create or replace function voice_worker.write_transcript_again() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform voice_worker.write_transcripts(array[new.call_id]);
    return null;
end
$$;

revoke all on function voice_worker.write_transcript_again() from public;

create or replace trigger voice_messages_transcript_trigger
    after update of content on public.voice_messages
    for each row
    when (
        new.content is distinct from old.content
        and current_setting('voice_worker.applying', true) is distinct from 'on'
    )
    execute function voice_worker.write_transcript_again();
$routine$;

    -- prices/comments.sql
    execute $routine$
-- Describes the columns of model_prices, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on table public.model_prices is
    'What a unit of a model costs from a day on; edit it, then run db prices recompute';
comment on column public.model_prices.provider is
    'As voice_usage.provider names it; upper and lower case are one';
comment on column public.model_prices.model is
    'As voice_usage.model names it, or the name without the date at its end';
comment on column public.model_prices.price is 'Of so many units as "per" says';
comment on column public.model_prices.source is 'Where the price stands';
comment on column public.model_prices.source_date is 'When it stood there';
$routine$;

    -- prices/grants.sql
    execute $routine$
-- Rights to model_prices: everybody who is signed in reads them, the policies let admins write them.
grant select, delete on public.model_prices to authenticated;
grant insert (provider, model, unit, price, per, currency, valid_from, source, source_date)
    on public.model_prices to authenticated;
grant update (price, per, currency, valid_from, source, source_date)
    on public.model_prices to authenticated;
grant all on public.model_prices to service_role;
grant select on public.model_prices to voice_worker, voice_reader;
$routine$;

    -- prices/policies.sql
    execute $routine$
-- Which rows of model_prices a role may read and write: everybody reads all, admins write.
alter table public.model_prices enable row level security;
drop policy if exists model_prices_select_all on public.model_prices;
create policy model_prices_select_all on public.model_prices
    for select to authenticated, voice_worker
    using (true);
drop policy if exists model_prices_admin_all on public.model_prices;
create policy model_prices_admin_all on public.model_prices for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists model_prices_service_all on public.model_prices;
create policy model_prices_service_all on public.model_prices for all to service_role
    using (true) with check (true);
drop policy if exists model_prices_reader_select on public.model_prices;
create policy model_prices_reader_select on public.model_prices for select to voice_reader
    using (true);
$routine$;

    -- prices/price_new_usage.sql
    execute $routine$
-- Prices each request when it is written, by any writer, and again when its figures change. A cost that
-- the writer sets (a recount, or by hand) stays. The worker's batches are already priced, because
-- apply_usage reads the rates of a model once per batch.
--
-- Trigger before insert or update of one row, with the owner's rights. Locks: none. Nobody calls it.
create or replace function voice_worker.price_new_usage() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'INSERT' and new.cost is not null
        or tg_op = 'UPDATE' and new.cost is distinct from old.cost
    then
        return new;  -- by a recount, or by hand
    end if;
    select c.cost, c.price_ids into new.cost, new.price_ids
    from voice_worker.charge(
        voice_worker.units_of(
            new.input_tokens, new.cached_input_tokens, new.cache_creation_tokens,
            new.input_audio_tokens, new.cached_audio_tokens, new.output_tokens,
            new.output_audio_tokens, new.characters, new.audio_ms, new.metadata
        ),
        voice_worker.rates_of(new.provider, new.model, (new.created_at at time zone 'UTC')::date)
    ) c;
    return new;
end
$$;

revoke all on function voice_worker.price_new_usage() from public;

create or replace trigger voice_usage_price_trigger
    before insert or update of
        provider, model, created_at, input_tokens, cached_input_tokens, cache_creation_tokens,
        input_audio_tokens, cached_audio_tokens, output_tokens, output_audio_tokens, characters,
        audio_ms, metadata, cost
    on public.voice_usage
    for each row
    -- Nobody else can claim that of his rows.
    when (
        current_setting('voice_worker.applying', true) is distinct from 'on'
        or not has_schema_privilege('voice_worker', 'usage')
    )
    execute function voice_worker.price_new_usage();
$routine$;

    -- usage/add_usage_totals.sql
    execute $routine$
-- Keeps voice_worker.usage_totals, what the models used by quarter of an hour and model, equal to
-- voice_usage, by adding each statement's rows. Quarters, because the day of every time zone begins
-- with one.
--
-- Trigger after each statement, with the transition table "changed"; the argument is 1 to add the
-- rows, -1 to take them away. An update takes the old rows away and adds the new ones.
-- With the owner's rights. Locks: the totals it adds to, in one order for all; eight rows (slots) for
-- each quarter and model, so that workers seldom wait for each other. Nobody calls it.
-- When the triggers are new, all requests that are there are counted in the same transaction: nothing
-- is counted twice or missed. Writers of voice_usage wait for that.
create or replace function voice_worker.add_usage_totals() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    slots constant int := 8;
    sign constant int := tg_argv[0];
begin
    -- An upsert calls the triggers of both insert and update.
    if not exists (select from changed) then
        return null;
    end if;
    insert into voice_worker.usage_totals as t
    select
        date_bin('15 minutes', created_at, 'epoch') as quarter_hour, kind, provider, model,
        pg_backend_pid() % slots,
        sign * count(*), sign * sum(input_tokens), sign * sum(cached_input_tokens),
        sign * sum(output_tokens), sign * sum(total_tokens), sign * coalesce(sum(audio_ms), 0),
        sign * coalesce(sum(characters), 0), sign * coalesce(sum(cost), 0),
        sign * count(*) filter (where cost is null)
    from changed
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4  -- one order of locks for all
    on conflict (quarter_hour, kind, provider, model, slot) do update set
        requests = t.requests + excluded.requests,
        input_tokens = t.input_tokens + excluded.input_tokens,
        cached_input_tokens = t.cached_input_tokens + excluded.cached_input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens,
        total_tokens = t.total_tokens + excluded.total_tokens,
        audio_ms = t.audio_ms + excluded.audio_ms,
        characters = t.characters + excluded.characters,
        cost = t.cost + excluded.cost,
        unpriced_requests = t.unpriced_requests + excluded.unpriced_requests;
    return null;
end
$$;

revoke all on function voice_worker.add_usage_totals() from public;

do $$
declare
    new constant boolean := not exists (
        select from pg_trigger
        where tgrelid = 'public.voice_usage'::regclass and tgname = 'voice_usage_totals_trigger'
    );
begin
    create or replace trigger voice_usage_totals_trigger
        after insert on public.voice_usage referencing new table as changed
        for each statement execute function voice_worker.add_usage_totals('1');
    create or replace trigger voice_usage_totals_delete_trigger
        after delete on public.voice_usage referencing old table as changed
        for each statement execute function voice_worker.add_usage_totals('-1');
    create or replace trigger voice_usage_totals_update_old_trigger
        after update on public.voice_usage referencing old table as changed
        for each statement execute function voice_worker.add_usage_totals('-1');
    create or replace trigger voice_usage_totals_update_new_trigger
        after update on public.voice_usage referencing new table as changed
        for each statement execute function voice_worker.add_usage_totals('1');
    if new then
        call voice_worker.recount_usage();
    end if;
end
$$;
$routine$;

    -- usage/comments.sql
    execute $routine$
-- Describes the columns of voice_usage, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on column public.voice_usage.message_id is 'Null: the request led to no message';
comment on column public.voice_usage.input_tokens is
    'Cached, cache-creation and audio tokens are among them';
comment on column public.voice_usage.output_tokens is 'Reasoning and audio tokens are among them';
comment on column public.voice_usage.ttft_ms is 'Time to the first token or the first audio';
comment on column public.voice_usage.estimated is
    'The provider told no figures: these are estimates, or what was known when the worker died';
comment on column public.voice_usage.cost is 'Null: the price is unknown';
comment on column public.voice_usage.revision is
    'Newest recorded version of this row; older ones change nothing';
comment on column public.voice_usage.cached_audio_tokens is 'Among the cached and the audio tokens';
comment on column public.voice_usage.error is 'Class of the failure; null: none';
comment on column public.voice_usage.price_ids is 'The prices that cost was computed with';
$routine$;

    -- usage/count_usage_tokens.sql
    execute $routine$
-- Keeps total_tokens_used, cost and unpriced_requests of a call by adding the difference of each
-- statement, in one update. Only requests to language models that belong to no message count for the
-- tokens.
--
-- Trigger after each statement, one for each event, since a transition table belongs to one; with the
-- owner's rights, since row level security would silently hide the call. Locks: the rows of the calls
-- (add_usage). Nobody calls it.
create or replace function voice_worker.count_usage_tokens() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    -- Of each row its call, the tokens that count, and its cost: as it is now, and as it was.
    now_of uuid[];
    now_tokens int[];
    now_costs numeric[];
    was_of uuid[];
    was_tokens int[];
    was_costs numeric[];
    calls uuid[];
    tokens bigint[];
    costs numeric[];
    priced bigint[];
    unpriced bigint[];
begin
    if tg_op <> 'DELETE' then
        select
            array_agg(call_id), array_agg(cost),
            array_agg(voice_worker.call_tokens(message_id, kind, total_tokens))
        into now_of, now_costs, now_tokens from new_rows;
    end if;
    if tg_op <> 'INSERT' then
        select
            array_agg(call_id), array_agg(cost),
            array_agg(voice_worker.call_tokens(message_id, kind, total_tokens))
        into was_of, was_costs, was_tokens from old_rows;
    end if;
    if now_of is null and was_of is null then
        return null;
    end if;
    select
        array_agg(d.call_id), array_agg(d.t), array_agg(d.c), array_agg(d.p), array_agg(d.u)
    into calls, tokens, costs, priced, unpriced from (
        select
            r.call_id, sum(r.sign * r.n) as t, coalesce(sum(r.sign * r.cost), 0) as c,
            coalesce(sum(r.sign) filter (where r.cost is not null), 0) as p,
            coalesce(sum(r.sign) filter (where r.cost is null), 0) as u
        from (
            select 1 as sign, n.* from unnest(now_of, now_tokens, now_costs) as n (call_id, n, cost)
            union all
            select -1, w.* from unnest(was_of, was_tokens, was_costs) as w (call_id, n, cost)
        ) r group by r.call_id
    ) d where (d.t, d.c, d.p, d.u) <> (0, 0, 0, 0);
    if calls is not null then
        perform voice_worker.add_usage(calls, tokens, costs, priced, unpriced);
    end if;
    return null;
end
$$;

revoke all on function voice_worker.count_usage_tokens() from public;

create or replace trigger voice_usage_update_tokens_trigger
    after insert on public.voice_usage referencing new table as new_rows
    for each statement execute function voice_worker.count_usage_tokens();
create or replace trigger voice_usage_update_tokens_update_trigger
    after update on public.voice_usage
    referencing old table as old_rows new table as new_rows
    for each statement execute function voice_worker.count_usage_tokens();
create or replace trigger voice_usage_update_tokens_delete_trigger
    after delete on public.voice_usage referencing old table as old_rows
    for each statement execute function voice_worker.count_usage_tokens();
$routine$;

    -- usage/grants.sql
    execute $routine$
-- Rights to voice_usage and its totals. No user writes what a call consumed. The totals are out of
-- reach by name: only usage_statistics reads them for users. voice_reader reads figures.
grant select on public.voice_usage to authenticated;
grant select, insert, update, delete on public.voice_usage to service_role;
grant select, insert, update on public.voice_usage to voice_worker;
grant select (
    id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
    cached_input_tokens, cache_creation_tokens, input_audio_tokens, cached_audio_tokens,
    output_tokens, output_audio_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
    duration_ms, ttft_ms, cancelled, estimated, error, cost, price_ids, created_at, revision
) on public.voice_usage to voice_reader;
grant select on voice_worker.usage_totals to authenticated, service_role, voice_reader;
$routine$;

    -- usage/keep_deleted_usage.sql
    execute $routine$
-- Keeps the usage of deleted requests, without their call or anything that identifies a person, so that
-- the totals by model and day do not shrink when a call is deleted.
--
-- Trigger after delete, once per statement; with the owner's rights, since the user who deletes a call
-- may not write there. Locks: none. Nobody calls it.
create or replace function voice_worker.keep_deleted_usage() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into voice_worker.deleted_usage (
        id, kind, provider, model, input_tokens, cached_input_tokens, output_tokens, total_tokens,
        audio_ms, characters, cost, created_at, revision
    )
    select
        d.id, d.kind, d.provider, d.model, d.input_tokens, d.cached_input_tokens, d.output_tokens,
        d.total_tokens, d.audio_ms, d.characters, d.cost, d.created_at, d.revision
    from deleted d
    on conflict (id) do nothing;
    -- If the call stays, a replay must not store and count them again.
    insert into voice_worker.deleted_rows (id, call_id)
    select d.id, d.call_id from deleted d
    where exists (select from public.voice_calls c where c.id = d.call_id)
    on conflict do nothing;
    return null;
end
$$;

revoke all on function voice_worker.keep_deleted_usage() from public;

create or replace trigger voice_usage_keep_trigger
    after delete on public.voice_usage referencing old table as deleted
    for each statement execute function voice_worker.keep_deleted_usage();
create or replace trigger deleted_usage_totals_trigger
    after insert on voice_worker.deleted_usage referencing new table as changed
    for each statement execute function voice_worker.add_usage_totals('1');
create or replace trigger deleted_usage_totals_update_old_trigger
    after update on voice_worker.deleted_usage referencing old table as changed
    for each statement execute function voice_worker.add_usage_totals('-1');
create or replace trigger deleted_usage_totals_update_new_trigger
    after update on voice_worker.deleted_usage referencing new table as changed
    for each statement execute function voice_worker.add_usage_totals('1');
$routine$;

    -- usage/policies.sql
    execute $routine$
-- Which rows of voice_usage and its totals a role may read and write. Only the owner of a call and
-- admins see its usage, not every participant. Only admins see the totals; a user's own figures come
-- from the requests of that user's calls.
alter table public.voice_usage enable row level security;
drop policy if exists voice_usage_select_own on public.voice_usage;
create policy voice_usage_select_own on public.voice_usage for select to authenticated
    using (
        (select voice_access.is_admin())
        or exists (
            select from public.voice_calls c
            where c.id = call_id and c.user_id = (select auth.uid())
        )
    );
drop policy if exists voice_usage_admin_all on public.voice_usage;
create policy voice_usage_admin_all on public.voice_usage for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists voice_usage_worker_all on public.voice_usage;
create policy voice_usage_worker_all on public.voice_usage for all to voice_worker
    using (true) with check (true);
drop policy if exists voice_usage_service_all on public.voice_usage;
create policy voice_usage_service_all on public.voice_usage for all to service_role
    using (true) with check (true);
drop policy if exists voice_usage_reader_select on public.voice_usage;
create policy voice_usage_reader_select on public.voice_usage for select to voice_reader
    using (true);

alter table voice_worker.usage_totals enable row level security;
drop policy if exists usage_totals_admin_select on voice_worker.usage_totals;
create policy usage_totals_admin_select on voice_worker.usage_totals for select to authenticated
    using ((select voice_access.is_admin()));
drop policy if exists usage_totals_reader_select on voice_worker.usage_totals;
create policy usage_totals_reader_select on voice_worker.usage_totals for select
    to voice_reader, service_role
    using (true);
$routine$;

    -- workers/comments.sql
    execute $routine$
-- Describes the private tables and their columns, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on table voice_worker.workers is
    'One row for each outbox directory: who ships it, and when that one was heard of last';
comment on column voice_worker.workers.kind is
    'worker, sidecar (ships for others), outbox (a directory that never had a worker), sweep (by hand)';
comment on column voice_worker.workers.lost_after is 'Silence after which it counts as lost';
comment on column voice_worker.workers.unbroken_since is
    'Since when its heartbeats came without a gap of a third of lost_after';
comment on column voice_worker.workers.stopped_at is 'It stopped in order, with everything shipped';
comment on column voice_worker.workers.lost_at is 'When a sweep last found it lost with open calls';
comment on column voice_worker.workers.swept_calls is
    'Calls that were swept since it was last heard of';
comment on column voice_worker.workers.shipped_by is 'Who ships its directory, if not itself';
comment on column voice_worker.refused_events.call_id is 'The call''s row; null if there is none';
comment on column voice_worker.refused_events.call_key is 'The key that the recorder made for it';
comment on column voice_worker.refused_events.header is 'The call''s first event';
$routine$;

    -- workers/grants.sql
    execute $routine$
-- Rights to the private tables: what a worker's statements need, and the workers for dashboards.
grant select on
    voice_worker.schema_version, voice_worker.tombstones, voice_worker.deleted_rows
    to voice_worker;
grant select, insert, update, delete on voice_worker.workers, voice_worker.refused_events
    to voice_worker;
grant select on voice_worker.workers to voice_reader;
$routine$;

    -- dropped.sql
    execute $routine$
-- Drops routines of earlier versions that are no longer used. Removing a file from this tree leaves its
-- routine in every database: add its name here, with "if exists", and keep it.
drop procedure if exists voice_worker.schema_reached(int, int);
drop function if exists voice_worker.end_call(uuid, jsonb);
drop function if exists voice_worker.close_ledger(uuid, jsonb);
drop function if exists voice_worker.price_usage(public.voice_usage, voice_worker.rates);
drop function if exists voice_worker.units_of(public.voice_usage);
drop function if exists voice_worker.recount_costs(uuid, int);
drop function if exists voice_worker.seconds_between(timestamptz, timestamptz);

-- Trigger functions of a database in which the enhanced schema was made by hand (012_adopt_enhanced.sql
-- has noted them): ours have taken their triggers over. Those that a team uses elsewhere stay.
do $$
declare
    replaced regprocedure;
begin
    if to_regclass('voice_before.functions') is null then
        return;
    end if;
    for replaced in
        select f.function::regprocedure from voice_before.functions f
        join pg_proc p on p.oid = f.function
        where not exists (select from pg_trigger t where t.tgfoid = f.function)
    loop
        execute format('drop function %s', replaced);
    end loop;
    drop table voice_before.functions;
    -- Whoever takes out the last thing takes the schema with it: this, or 102_bring_over.sql.
    if not exists (select from pg_class where relnamespace = 'voice_before'::regnamespace) then
        drop schema voice_before;
    end if;
end
$$;
$routine$;

    -- version.sql
    execute $routine$
-- The version of the schema: one number for tables and routines, that of the newest migration or of the
-- newest change of what a routine promises. Runs last.
--
-- version: what a worker asks for at its start (SCHEMA_VERSION_NEEDED in
-- callrecord/postgres/schema_version.py is the version that it was written for). oldest_worker: the
-- smallest such number that is still served.
--
-- The rule: a routine whose contract changes (arguments, result, what it promises) gets a new name, and
-- the old one stays for as long as oldest_worker is below this change, so that old and new workers run
-- side by side while a release is rolled out. A change that every caller may find overnight keeps its
-- name, and needs no new number.
insert into voice_worker.schema_version as v (version, oldest_worker) values (103, 60)
on conflict (only_row) do update set
    version = excluded.version,
    oldest_worker = excluded.oldest_worker,
    updated_at = now();
$routine$;

    update voice_worker.schema_version v set routines = 'b5186c2c2e63c413859a7a0e7030780f6b00edc9b40c61da6b2dee5bcc0a44d8' || ' ' || (
    -- Where they were applied, and how many there are now: in a restored dump some are missing, and
    -- "drop ... cascade" of something else takes some along.
    select
        (select system_identifier from pg_control_system()) || '/' || v.tableoid || '/'
        || (
            select count(*) from pg_proc
            where pronamespace in (
                select oid from pg_namespace where nspname in ('voice_worker', 'voice_access')
            ) or oid in (
                select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                where n.nspname = 'public' and p.proname in (
                    'call_statistics', 'usage_statistics', 'user_statistics', 'latency_statistics'
                )
            )
        ) || '/' || (
            select count(*) from pg_trigger t join pg_proc p on p.oid = t.tgfoid
            join pg_namespace n on n.oid = p.pronamespace
            where n.nspname = 'voice_worker' and not t.tgisinternal
        ) || '/' || (
            -- Also what they say: one that somebody has altered is made again.
            select md5(coalesce(string_agg(format(
                '%s %s %s %s %s', p.polname, p.polcmd, p.polroles, pg_get_expr(p.polqual, c.oid),
                pg_get_expr(p.polwithcheck, c.oid)
            ), ';' order by c.relname, p.polname), '')) from pg_policy p
            join pg_class c on c.oid = p.polrelid
            where p.polname ~ (
                '^' || c.relname || '_(select_own|insert_own|update_own|delete_own|select_all'
                || '|admin_all|worker_all|service_all|admin_select|reader_select)$'
            )
        ) || '/' || (
            select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind = 'v' and n.nspname in ('public', 'voice_worker') and c.relname in (
                'active_calls_summary', 'call_analytics', 'turn_costs', 'turn_latency',
                'table_sizes', 'index_usage'
            )
        ) || '/' || (
            select md5(string_agg(format('%s %s %s', c.relname, c.relrowsecurity, (
                select string_agg(x::text, ',' order by x::text) from unnest(c.relacl) x
            )), ';' order by c.relname)) from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'public' and c.relname in (
                'voice_calls', 'voice_messages', 'call_participants', 'voice_usage', 'model_prices'
            )
        )
);
end
$routines$;
select voice_worker.bring_auth_users();
