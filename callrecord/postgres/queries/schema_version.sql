select version, oldest_worker from voice_worker.schema_version
