select count(*) from public.voice_usage
