select job_id from public.voice_calls where job_id = any ($1::text[]) and ended_at is not null
