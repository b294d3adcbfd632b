-- Which rows of model_prices a role may read and write: everybody reads all, admins write.
alter table public.model_prices enable row level security;
drop policy if exists model_prices_select_all on public.model_prices;
create policy model_prices_select_all on public.model_prices
    for select to authenticated, voice_worker
    using (true);
drop policy if exists model_prices_admin_all on public.model_prices;
create policy model_prices_admin_all on public.model_prices for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists model_prices_service_all on public.model_prices;
create policy model_prices_service_all on public.model_prices for all to service_role
    using (true) with check (true);
drop policy if exists model_prices_reader_select on public.model_prices;
create policy model_prices_reader_select on public.model_prices for select to voice_reader
    using (true);
