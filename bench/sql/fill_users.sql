insert into users
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n,
    'user' || n || '@example.org', 'user'
from generate_series(0, 9999) n
