select {columns}
from public.voice_calls
where session_id = $1
