select voice_worker.end_legs($1::uuid[])
