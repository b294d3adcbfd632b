-- Describes the columns of model_prices, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on table public.model_prices is
    'What a unit of a model costs from a day on; edit it, then run db prices recompute';
comment on column public.model_prices.provider is
    'As voice_usage.provider names it; upper and lower case are one';
comment on column public.model_prices.model is
    'As voice_usage.model names it, or the name without the date at its end';
comment on column public.model_prices.price is 'Of so many units as "per" says';
comment on column public.model_prices.source is 'Where the price stands';
comment on column public.model_prices.source_date is 'When it stood there';
