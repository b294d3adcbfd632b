select id, speech_ended_at from public.voice_messages
where call_id = (select c.id from public.voice_calls c where c.session_id = $1) and role = 'user'
