-- Prices a request as it is written, whoever writes it; one that is told again with new figures too. A
-- cost that the writer gives (a recount, or by hand) stays.
--
-- Trigger before insert or update of one row, with the owner's rights. Locks: none. Nobody calls it.
create or replace function voice_worker.price_new_usage() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'INSERT' and new.cost is not null
        or tg_op = 'UPDATE' and new.cost is distinct from old.cost
    then
        return new;  -- by a recount, or by hand
    end if;
    return voice_worker.price_usage(
        new,
        voice_worker.rates_of(
            new.provider, new.model, (new.created_at at time zone 'UTC')::date
        )
    );
end
$$;

revoke all on function voice_worker.price_new_usage() from public;

create or replace trigger voice_usage_price_trigger
    before insert or update of
        provider, model, created_at, input_tokens, cached_input_tokens, cache_creation_tokens,
        input_audio_tokens, cached_audio_tokens, output_tokens, output_audio_tokens, characters,
        audio_ms, metadata, cost
    on public.voice_usage
    for each row execute function voice_worker.price_new_usage();
