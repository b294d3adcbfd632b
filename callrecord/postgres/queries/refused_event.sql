select source, byte_offset, raw, coalesce(sqlstate, '') as sqlstate, coalesce(error, '') as error,
    job_id, call_key, call_id, header, refused_at
from voice_worker.refused_events where source = $1 and byte_offset = $2
