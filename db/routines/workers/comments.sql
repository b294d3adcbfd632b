-- Describes the private tables and their columns, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on table voice_worker.workers is
    'One row for each outbox directory: who ships it, and when that one was heard of last';
comment on column voice_worker.workers.kind is
    'worker, sidecar (ships for others), outbox (a directory that never had a worker), sweep (by hand)';
comment on column voice_worker.workers.lost_after is 'Silence after which it counts as lost';
comment on column voice_worker.workers.unbroken_since is
    'Since when its heartbeats came without a gap of a third of lost_after';
comment on column voice_worker.workers.stopped_at is 'It stopped in order, with everything shipped';
comment on column voice_worker.workers.lost_at is 'When a sweep last found it lost with open calls';
comment on column voice_worker.workers.swept_calls is
    'Calls that were swept since it was last heard of';
comment on column voice_worker.workers.shipped_by is 'Who ships its directory, if not itself';
comment on column voice_worker.refused_events.call_id is 'The call''s row; null if there is none';
comment on column voice_worker.refused_events.call_key is 'The key that the recorder made for it';
comment on column voice_worker.refused_events.header is 'The call''s first event';
