vacuum (analyze) public.voice_calls, public.voice_messages, public.voice_usage
