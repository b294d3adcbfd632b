-- Rights to the private tables: what a worker's statements need, and the workers for dashboards.
grant select on
    voice_worker.schema_version, voice_worker.tombstones, voice_worker.deleted_rows
    to voice_worker;
grant select, insert, update, delete on voice_worker.workers, voice_worker.refused_events
    to voice_worker;
grant select on voice_worker.workers to voice_reader;
