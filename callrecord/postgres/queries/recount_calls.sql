select last_id, changed from voice_worker.recount_calls($1, $2)
