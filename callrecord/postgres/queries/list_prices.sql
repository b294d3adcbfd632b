select
    id, provider, model, unit, price, per, currency, valid_from, source, source_date
from public.model_prices
where ($1::text is null or provider = lower($1)) and ($2::text is null or model = $2)
order by provider, model, unit, valid_from
