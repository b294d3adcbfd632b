update voice_worker.schema_version v set routines = $1::text || ' '
    || (select system_identifier from pg_control_system())::text || '/' || v.tableoid
