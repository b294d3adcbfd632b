with kept as (
    -- What was answered is removed from the worker's disk: it must be on the server's.
    select case when current_setting('synchronous_commit') = 'off'
        then set_config('synchronous_commit', 'on', true) end as durable
)
insert into voice_worker.refused_events (
    source, byte_offset, call_id, call_key, job_id, raw, sqlstate, error, header
)
select $1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb from kept
on conflict (source, byte_offset) do nothing
