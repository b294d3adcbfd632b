create temporary table part (
    n int, id uuid, user_id uuid, created_at timestamptz, seconds int, replies int, ended boolean
)
