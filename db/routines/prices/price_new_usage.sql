-- Prices each request when it is written, by any writer, and again when its figures change. A cost that
-- the writer sets (a recount, or by hand) stays. The worker's batches are already priced, because
-- apply_usage reads the rates of a model once per batch.
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
    select c.cost, c.price_ids into new.cost, new.price_ids
    from voice_worker.charge(
        voice_worker.units_of(
            new.input_tokens, new.cached_input_tokens, new.cache_creation_tokens,
            new.input_audio_tokens, new.cached_audio_tokens, new.output_tokens,
            new.output_audio_tokens, new.characters, new.audio_ms, new.metadata
        ),
        voice_worker.rates_of(new.provider, new.model, (new.created_at at time zone 'UTC')::date)
    ) c;
    return new;
end
$$;

revoke all on function voice_worker.price_new_usage() from public;

create or replace trigger voice_usage_price_trigger
    before insert or update of
        provider, model, created_at, input_tokens, cached_input_tokens, cache_creation_tokens,
        input_audio_tokens, cached_audio_tokens, output_tokens, output_audio_tokens, characters,
        audio_ms, metadata, cost
    on public.voice_usage
    for each row
    -- Nobody else can claim that of his rows.
    when (
        current_setting('voice_worker.applying', true) is distinct from 'on'
        or not has_schema_privilege('voice_worker', 'usage')
    )
    execute function voice_worker.price_new_usage();
