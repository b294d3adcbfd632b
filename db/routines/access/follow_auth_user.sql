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
