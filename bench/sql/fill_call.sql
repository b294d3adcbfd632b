insert into public.voice_messages (call_id, role, content, sequence_number, tokens_used)
select $1, 'user', repeat('words ', 20), n, 5 from generate_series($2::int, $3::int) n
