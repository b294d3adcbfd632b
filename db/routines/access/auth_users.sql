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
