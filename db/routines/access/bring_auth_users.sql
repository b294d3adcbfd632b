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
