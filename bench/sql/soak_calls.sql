select c.id, c.room_sid, c.job_id, c.status, c.end_reason, c.ended_at,
  (select count(*) from public.call_participants p where p.call_id = c.id and p.left_at is null)
    as open_legs
from public.voice_calls c
