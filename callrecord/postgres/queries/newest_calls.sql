select {columns}
from public.voice_calls
where ($1::uuid is null or user_id = $1) and ($2::public.call_status is null or status = $2)
order by created_at desc
limit $3
