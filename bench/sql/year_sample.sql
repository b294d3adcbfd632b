-- $1 samples: users' calls of $2 and users of $3 at random, each as likely as any other.
select
    quote_literal(c.id) as call, quote_literal(c.session_id) as session,
    quote_literal(c.room_sid) as sid, quote_literal(m.id) as message,
    quote_literal(c.user_id) as owner,
    quote_literal('00000000-0000-4000-8000-' || lpad(pick.user_number::text, 12, '0')) as user,
    quote_literal(current_date - pick.days) as day,
    quote_literal(date_trunc('month', current_date - pick.days - 30)::date) as month
from (
    select
        1 + floor(random() * $2::int)::int as call_number,
        1 + floor(random() * $3::int)::int as user_number,
        1 + floor(random() * 300)::int as days
    from generate_series(1, $1::int * 2)
    offset 0
) pick
join public.voice_calls c on c.session_id = 'call-' || pick.call_number
join public.voice_messages m on m.call_id = c.id and m.sequence_number = 2
where c.user_id is not null
limit $1::int
