select status::text, end_reason from voice_calls where id = $1
