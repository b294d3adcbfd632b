select voice_worker.end_unserved($1, $2::uuid[], make_interval(secs => $3))
