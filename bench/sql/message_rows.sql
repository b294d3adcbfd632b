select id, sequence_number from public.voice_messages
where call_id = $1 and sequence_number > $2
order by sequence_number
