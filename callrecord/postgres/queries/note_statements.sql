select set_config('voice_worker.statements', $1::text[]::text, true), set_config('lock_timeout', '2s', true)
