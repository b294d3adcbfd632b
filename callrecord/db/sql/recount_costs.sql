select voice_worker.recount_costs($1, $2)
