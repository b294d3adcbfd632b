select
    set_config('lock_timeout', $1::text, true), set_config('statement_timeout', '0', true),
    set_config('check_function_bodies', 'off', true)
