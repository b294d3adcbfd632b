select count(*) from public.voice_messages
