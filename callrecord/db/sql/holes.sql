with people as (
    select oid, rolname from pg_roles where rolname in ('anon', 'authenticated')
),
policies as (
    select
        c.oid as home, c.relname as name, p.polname as policy, p.polcmd as command,
        p.polroles = '{0}' as everybodys,
        -- Whatever it asks is true of every row.
        coalesce(pg_get_expr(p.polqual, p.polrelid), 'true') = 'true'
            and coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true' as is_open,
        coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') ~ '\mrole\M' as looks_at_role
    from pg_policy p join pg_class c on c.oid = p.polrelid
    where p.polpermissive and c.oid in (
        to_regclass('public.voice_calls'), to_regclass('public.voice_messages'),
        to_regclass('public.call_participants'), to_regclass('public.voice_usage'),
        to_regclass('public.model_prices'), to_regclass('public.users')
    ) and (p.polroles = '{0}' or p.polroles && array(select oid from people))
),
team as (
    select
        c.oid as home, c.relrowsecurity as bound,
        string_agg(quote_ident(a.attname), ', ' order by a.attnum)
            filter (where a.attname <> 'role') as others,
        bool_or(a.attname = 'role') as has_role
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.oid = to_regclass('public.users') and a.attnum > 0 and not a.attisdropped
    group by c.oid
),
rights (verb, command) as (values ('UPDATE', 'w'::"char"), ('INSERT', 'a'::"char"))
select
    format('policy "%s" on %s', p.policy, p.name) as place,
    case when p.is_open
        then format(
            'lets %s %s every row', case when p.everybodys then 'everybody' else 'users' end,
            case p.command when 'r' then 'read' when 'a' then 'insert' when 'w' then 'update'
                when 'd' then 'delete' else 'read and change' end
        ) else 'lets users do more than the policies of this schema' end as says,
    p.is_open as severe,
    array[format('drop policy %I on %s', p.policy, p.home::regclass)] as mend
from policies p
where p.name <> 'users' and p.policy !~ (
    '^' || p.name || '_(select_own|insert_own|update_own|delete_own|select_all|admin_all'
    || '|worker_all|service_all|reader_select)$'
)
union all
select
    format('%s of users.role', lower(r.verb)), 'lets a user make himself an admin', true,
    array[
        format('revoke %s on public.users from public, anon, authenticated', r.verb),
        format('grant %s (%s) on public.users to authenticated', r.verb, t.others)
    ]
from team t cross join rights r
where t.has_role and exists (
    select from people h
    where has_column_privilege(h.oid, t.home, 'role', r.verb) and (
        not t.bound or exists (
            select from policies p
            where p.home = t.home and p.command in (r.command, '*') and not p.looks_at_role
        )
    )
)
union all
select
    'reading of users', 'lets everybody read names and e-mails of all', true,
    array(
        select format('drop policy %I on public.users', p.policy) from policies p
        where p.home = t.home and p.command in ('r', '*') and p.is_open
    ) || array[
        'alter table public.users enable row level security',
        'drop policy if exists users_read_own on public.users',
        'create policy users_read_own on public.users for select to authenticated '
            || 'using (id = (select auth.uid()))'
    ]
from team t
where exists (select from people h where has_any_column_privilege(h.oid, t.home, 'select'))
    and (
        not t.bound or exists (
            select from policies p
            where p.home = t.home and p.command in ('r', '*') and p.is_open
        )
    )
order by 1
