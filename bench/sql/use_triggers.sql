select set_config('bench.triggers', $1, false)
