select {columns}
from public.voice_messages
where call_id = $1 and role in ('user', 'assistant')
order by timestamp, sequence_number
