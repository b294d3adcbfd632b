call voice_worker.recount_usage()
