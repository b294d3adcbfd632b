-- Calls $1 to $2 of $3 in the order of time, spread over the year before now; the newest 40 go on.
-- A user's share falls with his number (of $4 users): the first has one call in a hundred, the
-- median one in fourteen thousand. One call in twenty is nobody's.
insert into part
select
    n,
    voice_worker.uuid_v7(),
    case when random() < 0.95 then
        ('00000000-0000-4000-8000-' || lpad(ceil($4::int * random() ^ 2)::text, 12, '0'))::uuid
    end,
    now() - ($3::int - n + random()) * interval '365 days' / $3::int,
    5 + ceil(-ln(1 - random()) * 180)::int,
    2 + n % 7,
    n <= $3::int - 40
from generate_series($1::int, $2::int) n
