select count(*) from voice_worker.refused_events
