select v.version, v.routines as noted,
    (select system_identifier from pg_control_system())::text || '/' || v.tableoid as place
from voice_worker.schema_version v
