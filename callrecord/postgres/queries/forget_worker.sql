delete from voice_worker.workers where id = $1
