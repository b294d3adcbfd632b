with people as (
    select oid, rolname from pg_roles where rolname in ('anon', 'authenticated')
),
tables as (
    select c.oid, c.relname as name, c.relrowsecurity as bound, c.relowner
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relname in (
        'voice_calls', 'voice_messages', 'call_participants', 'voice_usage', 'model_prices', 'users'
    ) and c.relkind in ('r', 'p')
),
policies as (
    select
        t.oid as home, t.name, p.polname as policy, p.polcmd as command,
        p.polroles = '{0}' as everybodys,
        -- It asks nothing of the row itself: whatever it asks, the answer is the same for every row.
        not exists (
            select from pg_depend d
            where d.classid = 'pg_policy'::regclass and d.objid = p.oid
                and d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid and d.refobjsubid > 0
        ) as is_open,
        -- An update that has no check of its own is checked by what it may see.
        coalesce(
            pg_get_expr(p.polwithcheck, p.polrelid), pg_get_expr(p.polqual, p.polrelid), 'true'
        ) ~ '\(?\mrole\M\)?(::text)? = ''(?!admin'')' as pins_role
    from tables t join pg_policy p on p.polrelid = t.oid
    where p.polpermissive and (
        p.polroles = '{0}' or exists (
            select from people h, unnest(p.polroles) r where pg_has_role(h.oid, r, 'usage')
        )
    )
),
ours (name, policies) as (values
    ('voice_calls', '{select_own,insert_own,update_own,delete_own,admin_all}'::text[]),
    ('voice_messages', '{select_own,insert_own,admin_all}'),
    ('call_participants', '{select_own,insert_own,admin_all}'),
    ('voice_usage', '{select_own,admin_all}'),
    ('model_prices', '{select_all,admin_all}'),
    ('users', '{select_own}')
),
-- What signed-in users may write, by columns: db/routines/*/grants.sql.
writes (name, verb, columns) as (values
    ('voice_calls', 'INSERT', '{id,user_id,session_id,room_name,status,started_at,connected_at,ended_at,recording_url,transcript,ai_agent_used,agent_identity,metadata}'::text[]),
    ('voice_calls', 'UPDATE', '{status,started_at,connected_at,ended_at,recording_url,transcript,metadata}'),
    ('voice_messages', 'INSERT', '{id,call_id,role,content,audio_url,audio_duration_ms,timestamp,sequence_number,tokens_used,model_used,metadata}'),
    ('voice_messages', 'UPDATE', '{content,audio_url,audio_duration_ms,metadata}'),
    ('call_participants', 'INSERT', '{id,call_id,user_id,participant_identity,participant_name,participant_type,joined_at,left_at,is_muted,metadata}'),
    ('call_participants', 'UPDATE', '{participant_name,participant_type,left_at,is_muted,metadata}'),
    ('voice_usage', 'INSERT', '{}'), ('voice_usage', 'UPDATE', '{}'),
    ('model_prices', 'INSERT', '{provider,model,unit,price,per,currency,valid_from,source,source_date}'),
    ('model_prices', 'UPDATE', '{price,per,currency,valid_from,source,source_date}')
),
-- Whoever of a table's rights lets users have one: themselves, everybody, or a role they are in.
holders as (
    select distinct t.oid as home, t.name, a.attname::text as column_name, x.privilege_type as verb,
        x.whole, case when x.grantee = 0 then 'public' else quote_ident(r.rolname) end as holder
    from tables t
    join pg_class c on c.oid = t.oid
    join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    cross join lateral (
        select true as whole, * from aclexplode(c.relacl)
        union all select false, * from aclexplode(a.attacl)
    ) x
    left join pg_roles r on r.oid = x.grantee
    where x.grantee <> t.relowner and (
        x.grantee = 0 or exists (select from people h where pg_has_role(h.oid, x.grantee, 'usage'))
    )
),
-- Columns of a team's own are its own affair.
our_columns (name, column_name) as (select * from unnest($1::text[], $2::text[])),
too_much as (
    select h.name, h.verb, h.holder, h.whole,
        string_agg(quote_ident(h.column_name), ', ' order by h.column_name) as columns
    from holders h join our_columns using (name, column_name) left join writes w using (name, verb)
    where h.name <> 'users' and to_regclass('voice_worker.schema_version') is not null and (
        h.verb in ('TRUNCATE', 'TRIGGER', 'REFERENCES')
        or (h.verb in ('INSERT', 'UPDATE') and h.column_name <> all (w.columns))
    )
    group by 1, 2, 3, 4
)
select
    format('policy "%s" on %s', p.policy, p.name) as place,
    case when p.is_open
        then format(
            'lets %s %s every row', case when p.everybodys then 'everybody' else 'users' end,
            case p.command when 'r' then 'read' when 'a' then 'insert' when 'w' then 'update'
                when 'd' then 'delete' else 'read and change' end
        ) else 'lets users do more than the policies of this schema' end as says,
    p.is_open as severe, false as routine,
    array[format('drop policy %I on %s', p.policy, p.home::regclass)] as mend
from policies p join ours o using (name)
where p.policy <> all (array(select p.name || '_' || e from unnest(o.policies) e))
    -- What a team's policies on its users say is its own affair, unless they say nothing of the row.
    and (p.name <> 'users' or (p.is_open and p.command in ('w', 'd', '*')))
union all
select
    format('row level security of %s', t.name), 'is off: users reach every row', true, true,
    array[format('alter table %s enable row level security', t.oid::regclass)]
from tables t
where t.name <> 'users' and not t.bound
    -- Before the first migration, which does this itself, it is no news.
    and to_regclass('voice_worker.schema_version') is not null
    and exists (select from people h where has_any_column_privilege(h.oid, t.oid, 'select'))
union all
select
    format('right to %s %s of %s', lower(m.verb), m.columns, m.name),
    format('is given to %s, and so to users', m.holder), true,
    m.whole and m.holder in ('public', 'anon', 'authenticated'),
    array[format(
        case when m.verb in ('INSERT', 'UPDATE') then 'revoke %1$s, %1$s (%2$s) on public.%3$I from %4$s'
            else 'revoke %1$s on public.%3$I from %4$s' end,
        m.verb, m.columns, m.name, m.holder
    )] || coalesce((
        -- Rights to single columns go with that to the table: what users may write is given again.
        select array[format(
            'grant %s (%s) on public.%I to authenticated', m.verb, array_to_string(w.columns, ', '), m.name
        )]
        from writes w where w.name = m.name and w.verb = m.verb and w.columns <> '{}'
    ), '{}')
from too_much m
union all
select
    format('%s of users.role', lower(v.verb)), 'lets a user make himself an admin', true, false,
    array(
        select distinct format('revoke %s, %s (role) on public.users from %s', v.verb, v.verb, h.holder)
        from holders h where h.name = 'users' and h.verb = v.verb and h.column_name = 'role'
    ) || array(
        -- The others, to whom had them.
        select format(
            'grant %s (%s) on public.users to %s', v.verb,
            string_agg(quote_ident(h.column_name), ', '), h.holder
        )
        from holders h
        where h.name = 'users' and h.verb = v.verb and h.column_name <> 'role'
        group by h.holder
    )
from tables t cross join (values ('UPDATE', 'w'::"char"), ('INSERT', 'a'::"char")) v (verb, command)
where t.name = 'users' and exists (
    select from people h
    where exists (
        select from pg_attribute where attrelid = t.oid and attname = 'role' and not attisdropped
    ) and has_column_privilege(h.oid, t.oid, 'role', v.verb) and (
        not t.bound or exists (
            select from policies p
            where p.home = t.oid and p.command in (v.command, '*') and not p.pins_role
        )
    )
)
union all
select
    'reading of users', 'lets everybody read names and e-mails of all', true, false,
    array(
        select format('drop policy %I on public.users', p.policy) from policies p
        where p.home = t.oid and p.command = 'r' and p.is_open
    ) || array[
        'alter table public.users enable row level security',
        'drop policy if exists users_read_own on public.users',
        'create policy users_read_own on public.users for select to authenticated '
            || 'using (id = (select auth.uid()))'
    ]
from tables t
where t.name = 'users'
    and exists (select from people h where has_any_column_privilege(h.oid, t.oid, 'select'))
    and (
        not t.bound or exists (
            select from policies p where p.home = t.oid and p.command = 'r' and p.is_open
        )
    )
union all
select
    format('view %s', v.oid::regclass), 'reads calls with its owner''s rights, past row level security',
    false, false, '{}'
from pg_class v
where v.relkind = 'v' and v.relnamespace = 'public'::regnamespace
    and not coalesce(v.reloptions::text ~ 'security_invoker=(true|on|1)', false)
    and exists (select from people h where has_any_column_privilege(h.oid, v.oid, 'select'))
    and exists (
        select from pg_rewrite w join pg_depend d on d.objid = w.oid and d.classid = 'pg_rewrite'::regclass
        join tables t on t.oid = d.refobjid and t.name <> 'users'
        where w.ev_class = v.oid
    )
order by 1
