select voice_worker.leave($1)
