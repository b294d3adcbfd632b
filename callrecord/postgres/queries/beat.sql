select voice_worker.beat($1::jsonb)
