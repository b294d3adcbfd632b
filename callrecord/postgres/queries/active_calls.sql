select
    id, session_id, room_name, user_id, user_name, user_email, status, started_at, ai_agent_used,
    participant_count, participants
from public.active_calls_summary
order by started_at desc nulls last, id desc
