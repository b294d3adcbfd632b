update voice_worker.refused_events set error = $3, sqlstate = $4, refused_at = $5
where source = $1 and byte_offset = $2
