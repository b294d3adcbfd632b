select {columns}
from public.voice_usage
where call_id = $1
order by created_at, id
