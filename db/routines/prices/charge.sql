-- The cost of a request, and the prices used for it. The cost is null if the model has no price, or none
-- of the used units has one; 0 if nothing was used, as in a rejected request.
--
-- units: what it used (units_of). r: the rates of its model (rates_of). Locks: none. Result: one row.
-- Called by: voice_worker. Without a search_path of its own, as units_of.
create or replace function voice_worker.charge(units numeric[], r voice_worker.rates)
returns table (cost numeric, price_ids bigint[])
language sql immutable parallel safe rows 1
begin atomic
    select
        case
            when (r).ids is null then null
            when count(u.price) > 0 then round(sum(u.used * u.price), 10)
            when bool_or(u.place < 11) then null
            else 0
        end,
        array_agg(u.price_id order by u.place) filter (where u.price is not null)
    from unnest(
        units,
        array[
            (r).input, (r).cached_input, (r).cache_creation, (r).output, (r).input_audio,
            (r).cached_audio, (r).output_audio, (r).character, (r).audio_second,
            (r).session_second, (r).request
        ],
        (r).ids
    ) with ordinality as u (used, price, price_id, place)
    where u.used > 0;
end;

revoke all on function voice_worker.charge(numeric[], voice_worker.rates) from public;
grant execute on function voice_worker.charge(numeric[], voice_worker.rates) to voice_worker;
