select {columns}
from public.voice_calls
where id = $2 or session_id = $1 or room_sid = $1
order by (id = $2) is true desc, session_id = $1 desc
limit 1
