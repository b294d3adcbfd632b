delete from voice_worker.refused_events where source = $1 and byte_offset = $2
