select status::text from public.voice_calls where id = $1
