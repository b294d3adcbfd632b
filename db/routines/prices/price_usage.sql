-- Sets cost and price_ids of a request. Cost is null if the model has no price, or nothing of what it
-- used has one; 0 if nothing was used.
--
-- u: the request. r: the rates of its model. Locks: none. Result: the request with both columns set.
-- Called by: voice_worker.
create or replace function voice_worker.price_usage(u public.voice_usage, r voice_worker.rates)
returns public.voice_usage
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    units numeric[];
    prices numeric[];
    used boolean := false;
begin
    u.cost := null;
    u.price_ids := null;
    if r.ids is null then
        return u;
    end if;
    units := voice_worker.units_of(u);
    prices := array[
        r.input, r.cached_input, r.cache_creation, r.output, r.input_audio, r.cached_audio,
        r.output_audio, r.character, r.audio_second, r.session_second, r.request
    ];
    for i in 1..11 loop
        used := used or (units[i] > 0 and i < 11);
        if units[i] > 0 and prices[i] is not null then
            u.cost := coalesce(u.cost, 0) + units[i] * prices[i];
            u.price_ids := u.price_ids || r.ids[i];
        end if;
    end loop;
    if u.cost is null and not used then
        u.cost := 0;  -- it was refused: nothing was used
    end if;
    u.cost := round(u.cost, 10);
    return u;
end
$$;

revoke all on function voice_worker.price_usage(public.voice_usage, voice_worker.rates) from public;
grant execute on function voice_worker.price_usage(public.voice_usage, voice_worker.rates)
    to voice_worker;
