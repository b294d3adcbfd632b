select
    (select count(*) from public.voice_calls) as calls,
    (select count(*) from public.voice_messages) as messages,
    (select count(*) from public.call_participants) as legs,
    (select count(*) from public.voice_usage) as requests,
    (select count(*) from public.users) as users,
    pg_size_pretty(pg_database_size(current_database())) as size
