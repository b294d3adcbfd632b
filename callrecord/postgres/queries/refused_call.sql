select room_sid, session_id, job_id, coalesce(job_started_at, started_at, created_at) as at
from voice_calls where id = $1 and room_sid is not null and job_id is not null
