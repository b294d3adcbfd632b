select last_id, looked_at, changed from voice_worker.reprice($1, $2, $3, $4, $5)
