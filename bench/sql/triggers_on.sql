set session_replication_role = default
