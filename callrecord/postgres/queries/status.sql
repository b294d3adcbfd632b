with open as materialized (select * from voice_worker.open_calls())
select jsonb_build_object(
    'schema_version', (select version from voice_worker.schema_version),
    'refused_events', (select count(*) from voice_worker.refused_events),
    'workers', (
        select coalesce(jsonb_agg(to_jsonb(w) order by w.stopped, w.hostname, w.started_at), '[]')
        from (
            select
                w.id, w.kind, w.hostname, w.pid, w.version, w.agent_name, w.livekit_worker_id,
                w.started_at, w.shipped_by, w.stopped_at is not null as stopped,
                extract(epoch from now() - w.heartbeat_at)::float8 as heartbeat_age_s,
                extract(epoch from w.lost_after)::float8 as lost_after_s,
                w.backlog_events, w.backlog_bytes, w.backlog_seconds, w.swept_calls,
                coalesce(held.calls, 0) as open_calls
            from voice_worker.workers w
            left join (select worker_id, count(*) as calls from open group by 1) held
                on held.worker_id = w.id
            where w.kind <> 'sweep'
        ) w
    ),
    -- "of": the worker that has them is known (its id stands in workers), is not, or there is none.
    'open_calls', (
        select coalesce(jsonb_agg(to_jsonb(o) order by o.of, o.status), '[]')
        from (
            select
                case when c.worker_id is null then 'nobody' when w.id is null then 'unknown'
                    else 'worker' end as of,
                c.status::text, count(*) as calls,
                extract(epoch from now() - min(c.created_at))::float8 as oldest_s
            from open c left join voice_worker.workers w on w.id = c.worker_id
            group by 1, 2
        ) o
    )
)
