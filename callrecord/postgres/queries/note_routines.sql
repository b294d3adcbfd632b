update voice_worker.schema_version v set routines = $1::text || ' ' || ({place})
