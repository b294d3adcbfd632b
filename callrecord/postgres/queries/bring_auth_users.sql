select voice_worker.bring_auth_users($1::uuid, $2::bigint)
