call voice_worker.recount_latency()
