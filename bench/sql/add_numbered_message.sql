insert into public.voice_messages (call_id, role, content, sequence_number, tokens_used)
values ($1, 'user', repeat('words ', 20), $2, 5)
