-- The prices of a model on a day, each with what stands in where there is none: a cached token costs
-- as an input token, an audio token as one of text. The newest price that is valid on the day counts.
-- A name with the date of a version at its end finds the prices of the name without it.
--
-- of_provider, of_model: as voice_usage names them; the provider in any case of letters. on_day: in
-- UTC.
-- Locks: none. Result: the rates with the ids of the prices; null if the model has none. Called by:
-- voice_worker.
create or replace function voice_worker.rates_of(of_provider text, of_model text, on_day date)
returns voice_worker.rates
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    r voice_worker.rates;
    units constant text[] := array[
        'input_token', 'cached_input_token', 'cache_creation_token', 'output_token',
        'input_audio_token', 'cached_audio_token', 'output_audio_token',
        'character', 'audio_second', 'session_second', 'request'
    ];
    found_prices numeric[];
    named text := of_model;
begin
    loop
        select array_agg(p.price / p.per order by u.place), array_agg(p.id order by u.place)
        into found_prices, r.ids
        from unnest(units) with ordinality as u (unit, place)
        left join (
            select distinct on (m.unit) m.unit, m.price, m.per, m.id
            from public.model_prices m
            where m.provider = lower(of_provider) and m.model = named and m.valid_from <= on_day
            order by m.unit, m.valid_from desc
        ) p on p.unit = u.unit;
        exit when array_remove(r.ids, null) <> '{}';
        -- Names of one version: gpt-4o-2024-08-06, claude-haiku-4-5-20251001.
        named := regexp_replace(of_model, '[-@](\d{4}-\d{2}-\d{2}|\d{8})$', '');
        if named is not distinct from of_model then
            return null;
        end if;
        of_model := named;
    end loop;
    r.input := found_prices[1];
    r.cached_input := coalesce(found_prices[2], found_prices[1]);
    r.cache_creation := coalesce(found_prices[3], found_prices[1]);
    r.output := found_prices[4];
    r.input_audio := coalesce(found_prices[5], found_prices[1]);
    r.cached_audio := coalesce(found_prices[6], found_prices[5], found_prices[2], found_prices[1]);
    r.output_audio := coalesce(found_prices[7], found_prices[4]);
    r.character := found_prices[8];
    r.audio_second := found_prices[9];
    r.session_second := found_prices[10];
    r.request := found_prices[11];
    -- The id of what stands in, where it does.
    r.ids[2] := coalesce(r.ids[2], r.ids[1]);
    r.ids[3] := coalesce(r.ids[3], r.ids[1]);
    r.ids[6] := coalesce(r.ids[6], r.ids[5], r.ids[2]);
    r.ids[5] := coalesce(r.ids[5], r.ids[1]);
    r.ids[7] := coalesce(r.ids[7], r.ids[4]);
    return r;
end
$$;

revoke all on function voice_worker.rates_of(text, text, date) from public;
grant execute on function voice_worker.rates_of(text, text, date) to voice_worker;
