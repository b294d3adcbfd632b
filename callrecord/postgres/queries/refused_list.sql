select source, byte_offset, octet_length(raw) as bytes, coalesce(sqlstate, '') as sqlstate,
    coalesce(error, '') as error, job_id, call_key, call_id, refused_at
from voice_worker.refused_events
order by refused_at, source, byte_offset
