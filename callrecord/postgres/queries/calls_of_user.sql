select {columns}
from public.voice_calls
where user_id = $1
order by created_at desc
limit $2
