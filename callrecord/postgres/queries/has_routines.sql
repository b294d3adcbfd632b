select exists (select from voice_worker.schema_version where routines is not null)
