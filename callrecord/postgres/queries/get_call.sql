select {columns}
from public.voice_calls
where id = $1
