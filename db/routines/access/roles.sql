-- The roles that rights are given to, each made where it is absent. What exists is left as it is:
-- Supabase brings the first three.
--
-- anon, authenticated, service_role: as Supabase has them; service_role reads past row level security.
-- voice_worker: what a worker may do; its login is made a member by voice_worker.enlist.
-- voice_reader: what a dashboard may read, all figures and nothing that was said or names a person; a
-- dashboard's login is granted it.
-- Roles belong to the cluster and are in no dump of a database: restored in another cluster, it gets
-- them here, and all that was granted to them from the other files.
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
