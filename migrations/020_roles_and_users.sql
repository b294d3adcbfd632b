-- migrate:up
-- What Supabase would bring (roles, auth.uid(), users) where it is absent, the worker's own role,
-- and the private schema. Nothing that exists is changed.

create schema if not exists voice_worker;
revoke all on schema voice_worker from public;

create table if not exists voice_worker.schema_version (
    only_row boolean primary key default true check (only_row),
    version int not null,
    oldest_worker int not null,
    updated_at timestamptz not null default now()
);

-- Every migration ends with a call of this. greatest(): running an old file again lowers nothing.
create or replace procedure voice_worker.schema_reached(reached int, serves_from int)
language sql
begin atomic
    insert into voice_worker.schema_version as v (version, oldest_worker)
    values (reached, serves_from)
    on conflict (only_row) do update set
        version = greatest(v.version, excluded.version),
        oldest_worker = greatest(v.oldest_worker, excluded.oldest_worker),
        updated_at = now();
end;
revoke all on procedure voice_worker.schema_reached(int, int) from public;

do $$
declare
    wanted name;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role', 'voice_worker'] loop
        if to_regrole(wanted::text) is not null then
            continue;
        end if;
        begin
            execute format('create role %I nologin', wanted);
        exception when duplicate_object or unique_violation then
            continue;  -- roles belong to the cluster: another database's migration was quicker
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

do $$
begin
    if to_regprocedure('auth.uid()') is not null then
        return;
    end if;
    if to_regnamespace('auth') is null then
        create schema auth;
    end if;
    -- PostgREST 9 and newer give all claims as one JSON setting, older ones a setting for each.
    create function auth.uid() returns uuid language sql stable as $body$
        select coalesce(
            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
            nullif(current_setting('request.jwt.claim.sub', true), '')
        )::uuid
    $body$;
    grant usage on schema auth to anon, authenticated, service_role;
end
$$;

do $$
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
    revoke all on public.users from public, anon, authenticated;
    grant select on public.users to authenticated;
    grant all on public.users to service_role;
    alter table public.users enable row level security;
    create policy users_select_own on public.users for select to authenticated
        using (id = (select auth.uid()));
end
$$;

-- The worker must know whether an id is a user's, and nothing else about users.
create or replace function voice_worker.user_exists(candidate uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select from public.users where id = candidate)
$$;
revoke all on function voice_worker.user_exists(uuid) from public;

-- Makes a login the worker's. The time limits belong to the login, because PgBouncer refuses
-- them as start-up parameters of a connection.
create or replace function voice_worker.enlist(login name) returns void
language plpgsql set search_path = '' as $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = login and rolinherit) then
        raise exception 'there is no role "%" that inherits the rights granted to it', login
            using errcode = 'undefined_object',
            hint = format('create role %I login inherit password ''...'';', login);
    end if;
    execute format('grant voice_worker to %I', login);
    execute format('alter role %I set statement_timeout = ''30s''', login);
    execute format('alter role %I set lock_timeout = ''5s''', login);
    execute format('alter role %I set idle_in_transaction_session_timeout = ''10s''', login);
end
$$;
revoke all on function voice_worker.enlist(name) from public;

call voice_worker.schema_reached(20, 20);

-- migrate:down
