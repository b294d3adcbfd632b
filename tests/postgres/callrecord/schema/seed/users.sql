-- A team's own users, before anything of ours.
create table users (
    id uuid primary key,
    name varchar(255),
    email varchar(255),
    role varchar(50) default 'user'
);
insert into users
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n,
    'user' || n || '@example.org', case n when 1 then 'admin' else 'user' end
from generate_series(1, 20) n;
