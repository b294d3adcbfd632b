-- Rights to model_prices: everybody who is signed in reads them, the policies let admins write them.
grant select, delete on public.model_prices to authenticated;
grant insert (provider, model, unit, price, per, currency, valid_from, source, source_date)
    on public.model_prices to authenticated;
grant update (price, per, currency, valid_from, source, source_date)
    on public.model_prices to authenticated;
grant all on public.model_prices to service_role;
grant select on public.model_prices to voice_worker, voice_reader;
