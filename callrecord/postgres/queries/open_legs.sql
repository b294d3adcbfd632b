select coalesce(jsonb_agg(jsonb_build_object('id', id, 'room', room, 'sid', sid) order by id), '[]')
from (
    select id, room, sid from voice_worker.open_legs()
    where id > $1 order by id limit $2
) chunk
