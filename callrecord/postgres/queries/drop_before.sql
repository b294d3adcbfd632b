-- Drops the tables of the basic schema, whose rows 102_bring_over.sql has brought over: all of it
-- is done or nothing. Each old row has to be in public, or to have been deleted there since.
do $$
declare
    calls constant regclass := to_regclass('voice_before.voice_calls');
    legs constant regclass := to_regclass('voice_before.call_participants');
    brought bigint := 0;
    old_id text := 'null::text';
    new_id text := 'null::text';
    missing bigint;
    hangs_on text;
begin
    perform set_config('lock_timeout', '10s', true);
    perform set_config('row_security', 'off', true);
    if to_regclass('voice_before.brought_over') is not null then
        select count(*) into brought from voice_before.brought_over
        where name in ('voice_calls', 'call_participants');
    end if;
    if brought < num_nonnulls(calls, legs) then
        raise exception 'rows in voice_before were not brought over: nothing was dropped';
    end if;
    -- Ids of calls may be text, which has more than one way to write a uuid. Rows without an id of
    -- their own were given one, and are counted.
    if calls is not null then
        lock table voice_before.voice_calls in access exclusive mode;
        select
            count(distinct o.id) filter (where v.id is null and d.call_id is null)
            + greatest(0, count(*) - count(distinct o.id) - (
                select count(*) from public.voice_calls
                where coalesce(metadata -> 'basic_schema', metadata) ? 'basic_row'
            ))
        into missing
        from (
            select translate(lower(id::text), '{}-', '') as id from voice_before.voice_calls
        ) o
        left join public.voice_calls v on replace(v.id::text, '-', '') = o.id
        left join voice_worker.tombstones d on replace(d.call_id::text, '-', '') = o.id;
        if missing > 0 then
            raise exception '% row(s) of voice_before.voice_calls are not in public.voice_calls: '
                'nothing was dropped', missing;
        end if;
    end if;
    if legs is not null then
        lock table voice_before.call_participants in access exclusive mode;
        if exists (
            select from pg_attribute where attrelid = legs and attname = 'id' and not attisdropped
        ) then
            old_id := 'id::text';
            new_id := $id$coalesce(metadata -> 'basic_schema', metadata) ->> 'basic_id'$id$;
        end if;
        execute format($query$
            select coalesce(sum(greatest(0, gone.n - (
                select count(*) from voice_worker.deleted_rows r where r.call_id = gone.call_id
            ))), 0)
            from (
                select c.id as call_id, sum(greatest(0, o.n - coalesce(p.n, 0))) as n
                from (
                    select translate(lower(call_id::text), '{}-', '') as call_key, %s as id,
                        count(*) as n
                    from voice_before.call_participants group by 1, 2
                ) o
                left join public.voice_calls c on replace(c.id::text, '-', '') = o.call_key
                left join (
                    select call_id, %s as id, count(*) as n
                    from public.call_participants group by 1, 2
                ) p on p.call_id = c.id and p.id is not distinct from o.id
                where c.id is not null or not exists (
                    select from voice_worker.tombstones d
                    where replace(d.call_id::text, '-', '') = o.call_key
                )
                group by c.id
            ) gone
        $query$, old_id, new_id) into missing;
        if missing > 0 then
            raise exception '% row(s) of voice_before.call_participants are not in '
                'public.call_participants: nothing was dropped', missing;
        end if;
    end if;
    drop table if exists voice_before.call_participants, voice_before.voice_calls;
    drop table voice_before.brought_over;
    if not exists (select from pg_class where relnamespace = 'voice_before'::regnamespace) then
        drop schema voice_before;
    end if;
exception when dependent_objects_still_exist then
    get stacked diagnostics hangs_on = pg_exception_detail;
    raise exception 'something depends on what would be dropped (%): change or drop that first; '
        'nothing was dropped', replace(hangs_on, E'\n', '; ');
end
$$;
