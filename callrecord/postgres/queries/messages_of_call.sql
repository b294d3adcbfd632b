select {columns}
from public.voice_messages
where call_id = $1
order by timestamp, sequence_number
