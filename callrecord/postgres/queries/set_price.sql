-- By hand it takes the place of the price that began on the same day; from a file only if told to.
insert into public.model_prices as m (
    provider, model, unit, price, per, currency, valid_from, source, source_date
)
values (lower($1), $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (provider, model, unit, valid_from) do update set
    price = excluded.price, per = excluded.per, currency = excluded.currency,
    source = excluded.source, source_date = excluded.source_date
where $10
returning id
