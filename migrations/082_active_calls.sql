-- migrate:up
-- Who goes on now is found before the policies are asked. Under row level security Postgres may
-- neither look up status in an index, since comparing an enum is not leakproof, nor know how few calls
-- are active: in an unlucky plan an admin's summary read the whole table. Ids it may look up.
create or replace function voice_access.active_calls() returns setof uuid
language sql stable security definer set search_path = pg_catalog, pg_temp rows 50 as $$
    select id from public.voice_calls where status = 'active'
$$;
revoke all on function voice_access.active_calls() from public;
grant execute on function voice_access.active_calls() to authenticated, service_role;

-- As in 050, but for the last condition.
create or replace view public.active_calls_summary with (security_invoker = true) as
select
    c.id,
    c.session_id,
    c.room_name,
    c.user_id,
    u.name as user_name,
    u.email as user_email,
    c.status,
    c.started_at,
    c.ai_agent_used,
    p.participant_count,
    p.participants
from public.voice_calls c
left join lateral voice_access.visible_user(c.user_id) u on true
left join lateral (
    select
        count(*) as participant_count,
        coalesce(array_agg(present.name order by present.name), '{}') as participants
    from (
        select distinct on (l.participant_identity)
            coalesce(l.participant_name, l.participant_identity)::text as name
        from public.call_participants l
        where l.call_id = c.id and l.left_at is null
        order by l.participant_identity, l.joined_at desc
    ) present
) p on true
where c.id in (select voice_access.active_calls()) and c.status = 'active';

call voice_worker.schema_reached(82, 60);

-- migrate:down
