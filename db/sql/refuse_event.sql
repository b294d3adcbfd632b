insert into voice_worker.refused_events (
    source, byte_offset, call_id, job_id, raw, sqlstate, error
)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (source, byte_offset) do nothing
