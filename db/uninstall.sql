-- Takes out what this project has made, but for the tables of calls with their rows: triggers,
-- policies, functions, views, and the private schemas with all that is in them; on Supabase the trigger
-- on auth.users and the tables' place in the publication of Realtime. One statement: all of it is done
-- or nothing. Run it with the workers stopped: `psql -v ON_ERROR_STOP=1 -f db/uninstall.sql`.
--
-- What stays, and is yours: voice_calls, voice_messages, call_participants, voice_usage, model_prices
-- and users, with rows, indexes, checks and grants; their types; the tables from before an upgrade, in
-- voice_before (docs/schema.md has the way back); auth.uid() and auth.uid_of() where they were made;
-- roles, which belong to the cluster (drop role voice_worker, voice_reader, once no database needs
-- them).
-- Row level security stays on, without our policies: nobody but the owner and service_role reads rows
-- until you make policies of your own. New ids come from gen_random_uuid().
--
-- It stops where something of yours depends on what would go, and where events wait in
-- voice_worker.refused_events, which are nowhere else.
do $$
declare
    each record;
begin
    perform set_config('lock_timeout', '10s', true);
    if exists (select from voice_worker.refused_events) then
        raise exception 'events wait in voice_worker.refused_events: nothing was changed'
            using hint = 'Store them with `db refused retry`, or delete them.';
    end if;
    lock table
        public.call_participants, public.model_prices, public.voice_calls, public.voice_messages,
        public.voice_usage in access exclusive mode;
    drop function voice_worker.follow_auth_user() cascade;  -- its trigger is on somebody else's table
    for each in
        select c.oid::regclass as home
        from pg_publication p
        join pg_publication_rel r on r.prpubid = p.oid
        join pg_class c on c.oid = r.prrelid
        where p.pubname = 'supabase_realtime' and pg_has_role(p.pubowner, 'usage')
        and c.relnamespace = 'public'::regnamespace
        and c.relname in ('voice_calls', 'voice_messages', 'call_participants')
    loop
        execute format('alter publication supabase_realtime drop table %s', each.home);
    end loop;
    for each in
        select t.tgname as name, t.tgrelid::regclass as home
        from pg_trigger t join pg_proc p on p.oid = t.tgfoid
        where not t.tgisinternal and p.pronamespace = 'voice_worker'::regnamespace
    loop
        execute format('drop trigger %I on %s', each.name, each.home);
    end loop;
    for each in
        select p.polname as name, c.oid::regclass as home
        from pg_policy p join pg_class c on c.oid = p.polrelid
        where c.relnamespace = 'public'::regnamespace and p.polname in (
            select t.name || '_' || s.name
            from unnest(array[
                'voice_calls', 'voice_messages', 'call_participants', 'voice_usage', 'model_prices'
            ]) t (name), unnest(array[
                'select_own', 'insert_own', 'update_own', 'delete_own', 'select_all', 'admin_all',
                'worker_all', 'service_all', 'reader_select'
            ]) s (name)
        )
    loop
        execute format('drop policy %I on %s', each.name, each.home);
    end loop;
    alter table public.voice_calls alter column id set default gen_random_uuid();
    alter table public.voice_messages alter column id set default gen_random_uuid();
    alter table public.call_participants alter column id set default gen_random_uuid();
    alter table public.voice_usage alter column id set default gen_random_uuid();
    drop view
        public.active_calls_summary, public.call_analytics, public.turn_costs, public.turn_latency;
    drop function
        public.call_statistics(date, date, text, text, uuid),
        public.usage_statistics(date, date, text, text, uuid),
        public.user_statistics(date, date, text, int),
        public.latency_statistics(date, date, text, text, uuid);
    -- Views before tables, these with their policies before the functions, a type after its functions.
    for each in
        select c.oid::regclass as name, case c.relkind when 'v' then 'view' else 'table' end as kind
        from pg_class c
        where c.relnamespace = 'voice_worker'::regnamespace and c.relkind in ('v', 'r')
        order by c.relkind desc
    loop
        execute format('drop %s %s', each.kind, each.name);
    end loop;
    for each in
        select p.oid::regprocedure as name from pg_proc p
        where p.pronamespace in ('voice_worker'::regnamespace, 'voice_access'::regnamespace)
    loop
        execute format('drop routine %s', each.name);
    end loop;
    drop type voice_worker.rates;
    drop schema voice_access;
    drop schema voice_worker;
end
$$;
