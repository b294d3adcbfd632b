-- The first day of the period that a time falls into.
--
-- at: the time. unit: day, week, month, quarter or year; anything else is an error that lists these.
-- time_zone: in which a day begins.
-- Locks: none. Called by: authenticated, service_role, voice_reader, inside the functions of figures;
-- nobody can name its schema.
create or replace function voice_access.period_of(at timestamptz, unit text, time_zone text)
returns date language sql stable parallel safe
return date_trunc(
    case when unit in ('day', 'week', 'month', 'quarter', 'year') then unit
        else unit || ' (day, week, month, quarter or year)' end,
    at at time zone time_zone
)::date;

revoke all on function voice_access.period_of(timestamptz, text, text) from public;
grant execute on function voice_access.period_of(timestamptz, text, text)
    to authenticated, service_role, voice_reader;
