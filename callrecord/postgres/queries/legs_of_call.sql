select {columns}
from public.call_participants
where call_id = $1
order by joined_at, id
