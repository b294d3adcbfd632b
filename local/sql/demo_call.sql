insert into public.voice_calls (user_id, session_id, room_name, ai_agent_used)
values ($1, $2, 'Support Call', true)
returning id
