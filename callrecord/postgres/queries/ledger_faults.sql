-- What in a call's ledger does not add up, a line each; nothing of a ledger that does.
with call as (select * from public.voice_calls where id = $1),
usage as (select * from public.voice_usage where call_id = $1)
select format('message %s has %s tokens, its requests have %s', m.id, m.tokens_used, s.tokens)
from public.voice_messages m
cross join lateral (
    select coalesce(sum(u.total_tokens) filter (where u.kind in ('llm', 'realtime')), 0) as tokens
    from usage u where u.message_id = m.id
) s
where m.call_id = $1 and coalesce(m.tokens_used, 0) <> s.tokens
union all
select format('the call has %s tokens, its requests have %s', c.total_tokens_used, s.tokens)
from call c
cross join lateral (
    select coalesce(sum(u.total_tokens) filter (where u.kind in ('llm', 'realtime')), 0) as tokens
    from usage u
) s
where c.total_tokens_used <> s.tokens
union all
select format('the call costs %s, its requests cost %s', c.cost, s.cost)
from call c cross join (select sum(u.cost) as cost from usage u) s
where coalesce(c.cost, 0) <> coalesce(s.cost, 0)
union all
select format('%s %s requests with the id %s', count(*), u.kind, u.request_id)
from usage u
-- A stream of speech to text tells what it uses piece by piece, under one id.
where u.kind in ('llm', 'realtime') and u.request_id is not null
group by u.kind, u.request_id, u.metadata ->> 'attempt'
having count(*) > 1
union all
select format('request %s has no end', u.id)
from usage u cross join call c
where u.metadata ? 'open' and c.ended_at is not null
    -- Of a job that died the gaps tell, also if the next job of the room has ended the call.
    and c.end_reason is distinct from 'worker_lost'
    and not exists (
        select from unnest(c.usage_gaps) as g (gap)
        where g.gap like '%' || u.kind || '%cut by the job''s death'
    )
