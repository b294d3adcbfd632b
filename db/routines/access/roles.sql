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
