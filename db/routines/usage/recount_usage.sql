-- Makes voice_worker.usage_totals equal to the requests, those of deleted calls included: needed after
-- rows were loaded, or a table emptied, without triggers, or with both triggers and totals.
--
-- It adds what is missing, rather than count from nothing: requests and totals are read in one
-- snapshot, in which each request that others are writing is in both or in neither. So it is right
-- beside any load. The differences are in a slot of their own.
-- Locks: none that a writer waits for; a second recount waits. Called by: the owner.
create or replace procedure voice_worker.recount_usage()
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_xact_lock(hashtext('voice_worker'), hashtext('recount_usage'));
    insert into voice_worker.usage_totals as t
    select
        d.quarter_hour, d.kind, d.provider, d.model, -1, sum(d.requests), sum(d.input_tokens),
        sum(d.cached_input_tokens), sum(d.output_tokens), sum(d.total_tokens), sum(d.audio_ms),
        sum(d.characters), sum(d.cost), sum(d.unpriced_requests)
    from (
        select
            date_bin('15 minutes', u.created_at, 'epoch') as quarter_hour, u.kind, u.provider,
            u.model, count(*) as requests, sum(u.input_tokens) as input_tokens,
            sum(u.cached_input_tokens) as cached_input_tokens,
            sum(u.output_tokens) as output_tokens, sum(u.total_tokens) as total_tokens,
            coalesce(sum(u.audio_ms), 0) as audio_ms, coalesce(sum(u.characters), 0) as characters,
            coalesce(sum(u.cost), 0) as cost,
            count(*) filter (where u.cost is null) as unpriced_requests
        from (
            select
                created_at, kind, provider, model, input_tokens, cached_input_tokens,
                output_tokens, total_tokens, audio_ms, characters, cost
            from public.voice_usage
            union all
            select
                created_at, kind, provider, model, input_tokens, cached_input_tokens,
                output_tokens, total_tokens, audio_ms, characters, cost
            from voice_worker.deleted_usage
        ) u
        group by 1, 2, 3, 4
        union all
        select
            quarter_hour, kind, provider, model, -requests, -input_tokens, -cached_input_tokens,
            -output_tokens, -total_tokens, -audio_ms, -characters, -cost, -unpriced_requests
        from voice_worker.usage_totals
    ) d
    group by 1, 2, 3, 4
    having (
        sum(d.requests), sum(d.input_tokens), sum(d.cached_input_tokens), sum(d.output_tokens),
        sum(d.total_tokens), sum(d.audio_ms), sum(d.characters), sum(d.cost),
        sum(d.unpriced_requests)
    ) <> (0, 0, 0, 0, 0, 0, 0, 0, 0)
    order by 1, 2  -- so that a span's rows lie together
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
end
$$;

revoke all on procedure voice_worker.recount_usage() from public;
