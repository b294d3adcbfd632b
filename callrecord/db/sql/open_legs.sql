select coalesce(jsonb_agg(jsonb_build_object('id', id, 'room', room, 'sid', sid) order by room, id), '[]')
from voice_worker.open_legs($1)
