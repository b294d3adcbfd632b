select coalesce(jsonb_agg(jsonb_build_object('id', id, 'room', room) order by id), '[]')
from (
    select id, room from voice_worker.unserved(make_interval(secs => $1))
    where id > $2 order by id limit $3
) chunk
