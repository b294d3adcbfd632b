select id from public.voice_messages where id = any ($1::uuid[])
