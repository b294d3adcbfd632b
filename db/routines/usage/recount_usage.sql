-- Counts voice_worker.usage_totals anew from all requests: needed only after rows were loaded, or a
-- table emptied, without triggers.
--
-- Locks: voice_usage against writers, until the transaction ends; usage_totals against everybody.
-- Called by: the owner.
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
