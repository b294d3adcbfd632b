select call_id, role, content from public.voice_messages
