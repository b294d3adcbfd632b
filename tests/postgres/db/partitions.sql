-- Turns voice_messages and voice_usage over to partitions by month of their call (ids are uuid v7),
-- without copying a row: each table becomes the partition of all calls until the end of this month.
-- Before it, with writers at work: a unique index on (call_id, id), and a check on call_id, validated.
-- After it, in the same transaction: the routines, which make triggers, policies, grants and views.
-- See docs/decisions/partitions.md.
do $$
declare
    home text;
    made record;
    place int;
    triggers text[];
    step text;
    edges constant uuid[] := array(
        select (
            lpad(to_hex((extract(epoch from month) * 1000)::bigint), 12, '0')
            || '70008000000000000000'
        )::uuid
        from generate_series(
            date_trunc('month', now()) + interval '1 month',
            date_trunc('month', now()) + interval '4 months', interval '1 month'
        ) month
    );
begin
    lock table public.voice_calls, public.voice_messages, public.voice_usage
        in access exclusive mode;
    drop view if exists public.turn_latency, public.call_analytics;
    -- Whatever else needs the primary key of messages is dropped by its name.
    alter table public.voice_usage drop constraint voice_usage_message_id_fkey;
    foreach home in array array['voice_messages', 'voice_usage'] loop
        -- They go over as they are: the routines would count the totals anew for new ones.
        triggers := array(
            select pg_get_triggerdef(oid) from pg_trigger
            where tgrelid = ('public.' || home)::regclass and not tgisinternal
        );
        for made in
            select tgname as name from pg_trigger
            where tgrelid = ('public.' || home)::regclass and not tgisinternal
        loop
            execute format('drop trigger %I on public.%I', made.name, home);
        end loop;
        execute format('alter table public.%I rename to %I', home, home || '_before');
        execute format(
            'alter table public.%1$I drop constraint %2$I_pkey, add primary key using index %2$I_call_id_id', home || '_before', home
        );
        execute format(
            'create table public.%I (like public.%I including defaults including comments)
            partition by range (call_id)', home, home || '_before'
        );
        for made in
            select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
            where conrelid = ('public.' || home || '_before')::regclass
                and contype = 'c' and conname <> home || '_until'
        loop
            execute format(
                'alter table public.%I add constraint %I %s', home, made.name, made.definition
            );
        end loop;
        execute format(
            'alter table public.%I add primary key (call_id, id), add constraint %I
            foreign key (call_id) references public.voice_calls (id) on delete cascade',
            home, home || '_call_id_fkey'
        );
        for made in
            select c.relname as name, pg_get_indexdef(c.oid) as definition
            from pg_index i join pg_class c on c.oid = i.indexrelid
            where i.indrelid = ('public.' || home || '_before')::regclass and not i.indisprimary
        loop
            execute format('alter index public.%I rename to %I', made.name, made.name || '_before');
            -- Only the table's name, without "_before".
            execute replace(made.definition, 'public.' || home || '_before ', 'public.' || home || ' ');
        end loop;
        execute format(
            'alter table public.%I attach partition public.%I for values from (minvalue) to (%L)',
            home, home || '_before', edges[1]
        );
        -- Rights are those of the parent; a partition is nobody's by its name.
        for made in
            select distinct coalesce(quote_ident(r.rolname), 'public') as name
            from pg_class c cross join lateral aclexplode(c.relacl) x
            left join pg_roles r on r.oid = x.grantee
            where c.oid = ('public.' || home || '_before')::regclass and x.grantee <> c.relowner
        loop
            execute format('revoke all on public.%I from %s', home || '_before', made.name);
        end loop;
        for place in 1 .. cardinality(edges) loop
            execute format(
                'create table public.%I partition of public.%I for values from (%s) to (%s)',
                home || '_' || place, home, quote_literal(edges[place]),
                coalesce(quote_literal(edges[place + 1]), 'maxvalue')
            );
            execute format(
                'alter table public.%I enable row level security', home || '_' || place
            );
        end loop;
        foreach step in array triggers loop
            execute step;
        end loop;
    end loop;
    update voice_worker.schema_version set routines = null;
end
$$;
