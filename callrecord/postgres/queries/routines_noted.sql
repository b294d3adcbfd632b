select v.version, v.routines as noted, ({place}) as place from voice_worker.schema_version v
