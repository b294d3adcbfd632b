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
