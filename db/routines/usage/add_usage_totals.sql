-- Keeps voice_worker.usage_totals, what the models used by quarter of an hour and model, equal to
-- voice_usage, by adding each statement's rows. Quarters, because the day of every time zone begins
-- with one.
--
-- Trigger after each statement, with the transition table "changed"; the argument is 1 to add the
-- rows, -1 to take them away. An update takes the old rows away and adds the new ones.
-- With the owner's rights. Locks: the totals it adds to, in one order for all; eight rows (slots) for
-- each quarter and model, so that workers seldom wait for each other. Nobody calls it.
-- When the triggers are new, all requests that are there are counted in the same transaction: nothing
-- is counted twice or missed. Writers of voice_usage wait for that.
create or replace function voice_worker.add_usage_totals() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    slots constant int := 8;
    sign constant int := tg_argv[0];
begin
    -- An upsert calls the triggers of both insert and update.
    if not exists (select from changed) then
        return null;
    end if;
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

do $$
declare
    new constant boolean := not exists (
        select from pg_trigger
        where tgrelid = 'public.voice_usage'::regclass and tgname = 'voice_usage_totals_trigger'
    );
begin
    create or replace trigger voice_usage_totals_trigger
        after insert on public.voice_usage referencing new table as changed
        for each statement execute function voice_worker.add_usage_totals('1');
    create or replace trigger voice_usage_totals_delete_trigger
        after delete on public.voice_usage referencing old table as changed
        for each statement execute function voice_worker.add_usage_totals('-1');
    create or replace trigger voice_usage_totals_update_old_trigger
        after update on public.voice_usage referencing old table as changed
        for each statement execute function voice_worker.add_usage_totals('-1');
    create or replace trigger voice_usage_totals_update_new_trigger
        after update on public.voice_usage referencing new table as changed
        for each statement execute function voice_worker.add_usage_totals('1');
    if new then
        call voice_worker.recount_usage();
    end if;
end
$$;
