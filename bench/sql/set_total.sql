update public.voice_calls set total_tokens_used = $2 where id = $1
