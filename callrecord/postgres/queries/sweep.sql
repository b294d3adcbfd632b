select voice_worker.sweep($1)
