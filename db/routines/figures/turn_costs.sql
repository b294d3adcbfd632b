-- What each turn cost; the row without a message is of requests that led to none.
--
-- With the reader's rights. Read by: authenticated, service_role, voice_reader.
create or replace view public.turn_costs with (security_invoker = true) as
select
    call_id, message_id, sum(cost) as cost, count(*) as requests,
    count(*) filter (where cost is null) as unpriced_requests,
    count(*) filter (where estimated) as estimated_requests,
    coalesce(sum(total_tokens) filter (where kind in ('llm', 'realtime')), 0) as tokens
from public.voice_usage
group by call_id, message_id;

comment on view public.turn_costs is
    'Cost of each turn; cost is null if none of its requests has a price';

revoke all on public.turn_costs from public, anon, authenticated;
grant select on public.turn_costs to authenticated, service_role, voice_reader;
