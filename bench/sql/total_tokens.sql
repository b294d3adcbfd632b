select total_tokens_used from public.voice_calls where id = $1
