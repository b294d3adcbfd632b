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
