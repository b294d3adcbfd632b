-- migrate:up
-- The rest of 012, now that functions and triggers of ours are there: totals and durations that the
-- replaced triggers left wrong or empty, and ids in the order of time from now on.
do $$
declare
    replaced regprocedure;
begin
    if to_regclass('voice_before.functions') is null then
        return;
    end if;
    alter table public.voice_calls alter column id set default voice_worker.uuid_v7();
    alter table public.voice_messages alter column id set default voice_worker.uuid_v7();
    alter table public.call_participants alter column id set default voice_worker.uuid_v7();
    -- Of a call without messages the old total stays: it was counted when they were there.
    update public.voice_calls c set total_tokens_used = least(2147483647, greatest(0, t.n))
    from (
        select call_id, sum(n) as n from (
            select call_id, tokens_used::bigint as n from public.voice_messages
            union all
            select call_id, total_tokens from public.voice_usage
            where message_id is null and kind in ('llm', 'realtime')
        ) counted group by call_id
    ) t
    where c.id = t.call_id and t.n is not null
    and c.total_tokens_used <> least(2147483647, greatest(0, t.n));
    -- The triggers work it out.
    update public.voice_calls set ended_at = ended_at
    where ended_at is not null and duration_seconds is null;
    update public.call_participants set left_at = left_at
    where left_at is not null and duration_seconds is null;
    for replaced in
        select f.function::regprocedure from voice_before.functions f
        join pg_proc p on p.oid = f.function
        where not exists (select from pg_trigger t where t.tgfoid = f.function)
    loop
        execute format('drop function %s', replaced);
    end loop;
    drop table voice_before.functions;
end
$$;

-- What was set aside and brought over leaves an empty schema behind.
do $$
begin
    if to_regnamespace('voice_before') is not null then
        drop schema voice_before;
    end if;
exception when dependent_objects_still_exist then
    raise notice 'schema voice_before is kept: it is not empty';
end
$$;

call voice_worker.schema_reached(64, 60);

-- migrate:down
