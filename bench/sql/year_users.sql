insert into public.users (id, name, email, role)
select
    ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'u' || n, n || '@example.org',
    case when n = 0 then 'admin' else 'user' end
from generate_series(0, $1::int) n
