select
    count(*) filter (where kind = 'llm') as llm_requests,
    count(*) filter (where kind = 'llm' and cancelled) as cut,
    count(*) filter (where kind = 'llm' and cancelled and not estimated) as cut_and_told,
    count(*) filter (where estimated) as estimated,
    count(*) filter (where metadata ->> 'discarded' is not null) as discarded,
    count(*) filter (where message_id is null) as of_no_message,
    count(*) filter (where metadata ->> 'open' is not null) as without_an_end,
    count(*) filter (where error is not null) as failed
from public.voice_usage
