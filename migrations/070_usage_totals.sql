-- migrate:up
-- What the models used, summed by quarter of an hour and model: a month is answered from some
-- thousand rows instead of a million. Quarters, because every time zone's day begins with one.
-- Kept by adding each statement's rows, so it always equals voice_usage.
create table if not exists voice_worker.usage_totals (
    quarter_hour timestamptz not null,
    kind text not null,
    provider text,
    model text,
    -- Workers that write at the same time add to different rows instead of waiting for each other.
    slot smallint not null,
    requests bigint not null,
    input_tokens bigint not null,
    cached_input_tokens bigint not null,
    output_tokens bigint not null,
    total_tokens bigint not null,
    audio_ms bigint not null,
    characters bigint not null,
    cost numeric not null,
    unpriced_requests bigint not null,
    constraint usage_totals_key
        unique nulls not distinct (quarter_hour, kind, provider, model, slot)
) with (fillfactor = 70);

-- Adds the rows "changed", -1 times as an argument says.
create or replace function voice_worker.add_usage_totals() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    slots constant int := 8;
    sign constant int := tg_argv[0];
begin
    insert into voice_worker.usage_totals as t
    select
        date_bin('15 minutes', created_at, 'epoch') as quarter_hour, kind, provider, model,
        pg_backend_pid() % slots,
        sign * count(*), sign * sum(input_tokens), sign * sum(cached_input_tokens),
        sign * sum(output_tokens), sign * sum(total_tokens), sign * coalesce(sum(audio_ms), 0),
        sign * coalesce(sum(characters), 0), sign * coalesce(sum(cost), 0),
        sign * count(*) filter (where cost is null)
    from changed
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4  -- one order of locks for all
    on conflict (quarter_hour, kind, provider, model, slot) do update set
        requests = t.requests + excluded.requests,
        input_tokens = t.input_tokens + excluded.input_tokens,
        cached_input_tokens = t.cached_input_tokens + excluded.cached_input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens,
        total_tokens = t.total_tokens + excluded.total_tokens,
        audio_ms = t.audio_ms + excluded.audio_ms,
        characters = t.characters + excluded.characters,
        cost = t.cost + excluded.cost,
        unpriced_requests = t.unpriced_requests + excluded.unpriced_requests;
    return null;
end
$$;
revoke all on function voice_worker.add_usage_totals() from public;

-- Sums everything again: at the migration, and after rows were loaded or truncated without triggers.
-- Writers of voice_usage wait for its end.
create or replace procedure voice_worker.recount_usage()
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    lock table public.voice_usage in share row exclusive mode;
    truncate voice_worker.usage_totals;
    insert into voice_worker.usage_totals
    select
        date_bin('15 minutes', created_at, 'epoch'), kind, provider, model, 0, count(*),
        sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(total_tokens),
        coalesce(sum(audio_ms), 0), coalesce(sum(characters), 0), coalesce(sum(cost), 0),
        count(*) filter (where cost is null)
    from public.voice_usage
    group by 1, 2, 3, 4;
end
$$;
revoke all on procedure voice_worker.recount_usage() from public;

-- Triggers and first sum in one transaction: nothing is counted twice or missed between them.
do $$
begin
    if exists (
        select from pg_trigger
        where tgrelid = 'public.voice_usage'::regclass and tgname = 'voice_usage_totals_trigger'
    ) then
        return;
    end if;
    create trigger voice_usage_totals_trigger
        after insert on public.voice_usage referencing new table as changed
        for each statement execute function voice_worker.add_usage_totals('1');
    create trigger voice_usage_totals_delete_trigger
        after delete on public.voice_usage referencing old table as changed
        for each statement execute function voice_worker.add_usage_totals('-1');
    -- An update takes back the old rows and adds the new ones.
    create trigger voice_usage_totals_update_old_trigger
        after update on public.voice_usage referencing old table as changed
        for each statement execute function voice_worker.add_usage_totals('-1');
    create trigger voice_usage_totals_update_new_trigger
        after update on public.voice_usage referencing new table as changed
        for each statement execute function voice_worker.add_usage_totals('1');
    call voice_worker.recount_usage();
end
$$;

-- The totals answer what the covering index was for. Single requests of an hour or a day are found
-- by their place: they are written in the order of time.
do $$
begin
    if (
        select a.amname from pg_class c join pg_am a on a.oid = c.relam
        where c.oid = to_regclass('public.idx_voice_usage_created_at')
    ) = 'btree' then
        drop index public.idx_voice_usage_created_at;
    end if;
end
$$;
create index if not exists idx_voice_usage_created_at
    on public.voice_usage using brin (created_at) with (pages_per_range = 16, autosummarize = on);

call voice_worker.schema_reached(70, 60);

-- migrate:down
