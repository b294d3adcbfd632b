-- What a team has left out of what is made for Supabase, as the words of this function's own comment:
-- `comment on function voice_worker.left_out() is 'auth_users, voice_messages'`. A setting would not do:
-- on Supabase nobody may set one of his own for a database. The comment stays when the function is
-- replaced, and is in a dump.
--
-- auth_users: rows of auth.users get no row in public.users (follow_auth_user, from now on). realtime:
-- no table joins supabase_realtime; voice_calls, voice_messages, call_participants: this one does not.
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
