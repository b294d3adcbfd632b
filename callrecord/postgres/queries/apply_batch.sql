select voice_worker.apply_batch($1::jsonb)
