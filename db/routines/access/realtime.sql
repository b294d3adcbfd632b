-- The tables that a front end watches join the publication of Supabase Realtime, where there is one.
-- Those that are in stay as they are, and a publication of all tables has them. Whoever is to see which
-- row is for the policies: Realtime asks them for each subscriber, as authenticated.
--
-- A table that was taken out is back with the next routines, unless left_out names it. Locks: the
-- tables, which are locked already. Called by: nobody; it is applied by the owner. Where he does not own
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
