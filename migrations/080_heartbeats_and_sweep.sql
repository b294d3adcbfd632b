-- migrate:up
-- Whoever ships an outbox says so every few seconds (beat). Calls of a worker that has been silent
-- for longer than its limit end as worker_lost (sweep), rows that no worker took as not_served.
-- Times are the database's: clocks of hosts count for nothing here.

alter table voice_worker.workers
    add column if not exists kind text not null default 'worker',
    add column if not exists lost_after interval not null default '60 s',
    add column if not exists unbroken_since timestamptz not null default now(),
    add column if not exists stopped_at timestamptz,
    add column if not exists lost_at timestamptz,
    add column if not exists swept_calls int not null default 0,
    add column if not exists shipped_by uuid,
    add column if not exists backlog_events bigint not null default 0,
    add column if not exists backlog_bytes bigint not null default 0,
    add column if not exists backlog_seconds float8 not null default 0,
    add column if not exists refused_events bigint not null default 0;
-- A row changes every few seconds, and no index has those columns: room for it within the page.
alter table voice_worker.workers set (fillfactor = 50);

comment on table voice_worker.workers is
    'One row for each outbox directory: who ships it, and when that one was heard of last';
comment on column voice_worker.workers.kind is
    'worker, sidecar (ships for others), outbox (a directory that never had a worker), sweep (by hand)';
comment on column voice_worker.workers.lost_after is 'Silence after which it counts as lost';
comment on column voice_worker.workers.unbroken_since is
    'Since when its heartbeats came without a gap of a third of lost_after';
comment on column voice_worker.workers.stopped_at is 'It stopped in order, with everything shipped';
comment on column voice_worker.workers.lost_at is 'When a sweep last found it lost with open calls';
comment on column voice_worker.workers.swept_calls is 'Calls that were swept since it was last heard of';
comment on column voice_worker.workers.shipped_by is 'Who ships its directory, if not itself';

-- One heartbeat: {"id", "kind", "hostname", "pid", "version", "agent_name", "livekit_worker_id",
-- "uptime_s", "lost_after_s", "backlog_events", "backlog_bytes", "backlog_seconds",
-- "refused_events", "adopted": [ids of directories that it ships too]}.
-- True if a sweep has taken it for lost meanwhile.
create or replace function voice_worker.beat(b jsonb) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    me constant uuid := (b ->> 'id')::uuid;
    limit_ constant interval := make_interval(secs => (b ->> 'lost_after_s')::float8);
    adopted constant uuid[] := array(
        select id::uuid from jsonb_array_elements_text(b -> 'adopted') as a (id) order by 1
    );
    was_lost boolean;
begin
    -- Waits for a sweep that has this row, so that no call of it is swept after this.
    select w.lost_at is not null into was_lost from voice_worker.workers w where w.id = me for update;
    insert into voice_worker.workers as w (
        id, kind, hostname, pid, version, agent_name, livekit_worker_id, started_at, lost_after,
        backlog_events, backlog_bytes, backlog_seconds, refused_events
    )
    values (
        me, b ->> 'kind', b ->> 'hostname', (b ->> 'pid')::int, b ->> 'version', b ->> 'agent_name',
        b ->> 'livekit_worker_id', now() - make_interval(secs => (b ->> 'uptime_s')::float8), limit_,
        (b ->> 'backlog_events')::bigint, (b ->> 'backlog_bytes')::bigint,
        (b ->> 'backlog_seconds')::float8, (b ->> 'refused_events')::bigint
    )
    on conflict (id) do update set
        kind = excluded.kind,
        hostname = excluded.hostname,
        pid = excluded.pid,
        version = excluded.version,
        agent_name = excluded.agent_name,
        livekit_worker_id = excluded.livekit_worker_id,
        started_at = excluded.started_at,
        lost_after = excluded.lost_after,
        backlog_events = excluded.backlog_events,
        backlog_bytes = excluded.backlog_bytes,
        backlog_seconds = excluded.backlog_seconds,
        refused_events = excluded.refused_events,
        heartbeat_at = now(),
        unbroken_since = case when w.heartbeat_at < now() - limit_ / 3 then now()
            else least(w.unbroken_since, now()) end,
        stopped_at = null, lost_at = null, swept_calls = 0, shipped_by = null;
    -- Its backlog counts what they hold.
    insert into voice_worker.workers as w (id, kind, hostname, pid, version, lost_after, shipped_by)
    select id, 'outbox', b ->> 'hostname', (b ->> 'pid')::int, b ->> 'version', limit_, me
    from unnest(adopted) as a (id)
    on conflict (id) do update set
        lost_after = excluded.lost_after, shipped_by = me, heartbeat_at = now(),
        backlog_events = 0, backlog_bytes = 0, backlog_seconds = 0, refused_events = 0,
        stopped_at = null, lost_at = null, swept_calls = 0;
    -- A directory is let go only when all that was in it is shipped.
    update voice_worker.workers w set stopped_at = now(), shipped_by = null
    where w.shipped_by = me and w.id <> all (adopted);
    return coalesce(was_lost, false);
end
$$;
revoke all on function voice_worker.beat(jsonb) from public;

-- What stops with everything shipped leaves nothing open: its calls have ended.
create or replace function voice_worker.leave(me uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update voice_worker.workers w set
        heartbeat_at = now(), stopped_at = now(), shipped_by = null,
        backlog_events = 0, backlog_bytes = 0, backlog_seconds = 0
    where w.id = me or w.shipped_by = me
$$;
revoke all on function voice_worker.leave(uuid) from public;

-- For how long the sweeper's own heartbeats have come without a gap; null if they do not come now.
-- Silence of others tells something only to who could be heard all that time.
create or replace function voice_worker.watched_for(sweeper uuid) returns interval
language sql stable set search_path = pg_catalog, pg_temp as $$
    select now() - w.unbroken_since from voice_worker.workers w
    where w.id = sweeper and w.heartbeat_at >= now() - w.lost_after / 3
$$;
revoke all on function voice_worker.watched_for(uuid) from public;

-- The few calls that have not ended, from their index. Under row level security Postgres knows
-- nothing of how many rows have a status (enum_eq is not leakproof), and would read the whole table.
create or replace function voice_worker.open_calls()
returns table (id uuid, worker_id uuid, status public.call_status, created_at timestamptz)
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select c.id, c.worker_id, c.status, c.created_at from public.voice_calls c
    where c.status in ('pending', 'active')
$$;
revoke all on function voice_worker.open_calls() from public;

-- Ends those of these calls that are open and still held by one of these workers, or with null by
-- none, at the last time that is known of each, with their open legs. Calls that somebody writes to
-- just now are left alone: the next sweep is near. A user may write any time into his call: none of
-- the future counts but the worker's own, whose clock may be ahead. Returns {worker: calls}.
create or replace function voice_worker.sweep_calls(ids uuid[], holders uuid[]) returns jsonb
language sql set search_path = pg_catalog, pg_temp as $$
    with open as (
        select c.id, greatest(
            (select w.heartbeat_at from voice_worker.workers w where w.id = c.worker_id),
            least(now(), greatest(coalesce(c.started_at, c.created_at), c.connected_at)),
            (
                select max(m.timestamp) from public.voice_messages m
                where m.call_id = c.id and (m.revision > 0 or m.timestamp <= now())
            ),
            (
                select max(greatest(p.joined_at, p.left_at)) from public.call_participants p
                where p.call_id = c.id
                    and (p.revision > 0 or greatest(p.joined_at, p.left_at) <= now())
            )
        ) as last_known
        from public.voice_calls c
        where c.id = any (ids) and c.status in ('pending', 'active')
            and case when holders is null then c.worker_id is null else c.worker_id = any (holders) end
        order by c.id for no key update skip locked
    ),
    ended as (
        update public.voice_calls v set
            status = 'failed', ended_at = o.last_known, swept_at = o.last_known,
            end_reason = case when holders is null then 'not_served' else 'worker_lost' end
        from open o where v.id = o.id
        returning v.id, v.ended_at, v.worker_id
    ),
    closed as (
        update public.call_participants p set
            left_at = greatest(p.joined_at, e.ended_at), closed_by_sweep = true
        from ended e where p.call_id = e.id and p.left_at is null
    )
    select coalesce(jsonb_object_agg(n.holder, n.calls), '{}') from (
        select coalesce(worker_id::text, 'nobody') as holder, count(*) as calls
        from ended group by 1
    ) n
$$;
revoke all on function voice_worker.sweep_calls(uuid[], uuid[]) from public;

-- One sweep: {"state": "swept", "lost": {worker: calls}}, "watching" with the seconds that are left
-- of the sweeper's own watch, or "another" while another one sweeps. A bound keeps it short; as long
-- as it finds something there may be more.
create or replace function voice_worker.sweep(sweeper uuid) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own_limit constant interval := (select lost_after from voice_worker.workers where id = sweeper);
    watched constant interval := coalesce(voice_worker.watched_for(sweeper), '0');
    lost uuid[];
    swept jsonb := '{}';
begin
    if own_limit is null or watched <= own_limit then
        return jsonb_build_object(
            'state', 'watching', 'seconds', extract(epoch from own_limit - watched)
        );
    end if;
    if not pg_try_advisory_xact_lock(hashtext('voice_worker'), hashtext('sweep')) then
        return jsonb_build_object('state', 'another');
    end if;
    -- Locked: a heartbeat that comes just now waits, or is there and seen. Calls come after workers,
    -- and nothing here waits for a lock: nobody can wait in a circle.
    lost := array(
        select w.id from voice_worker.workers w
        where w.heartbeat_at < now() - greatest(w.lost_after, own_limit)
            and watched > greatest(w.lost_after, own_limit)
            and w.id in (select o.worker_id from voice_worker.open_calls() o)
        order by w.id limit 100
        for update skip locked
    );
    if cardinality(lost) > 0 then
        swept := voice_worker.sweep_calls(array(
            select o.id from voice_worker.open_calls() o where o.worker_id = any (lost)
            order by o.id limit 500
        ), lost);
        update voice_worker.workers w set
            lost_at = now(), swept_calls = w.swept_calls + (swept ->> w.id::text)::int
        where w.id = any (lost) and swept ? w.id::text;
    end if;
    delete from voice_worker.workers where id in (
        select w.id from voice_worker.workers w
        where w.heartbeat_at < now() - interval '7 days' and w.id not in (
            select o.worker_id from voice_worker.open_calls() o where o.worker_id is not null
        )
        for update skip locked
    );
    return jsonb_build_object('state', 'swept', 'lost', swept);
end
$$;
revoke all on function voice_worker.sweep(uuid) from public;

-- Rows that wait for an agent, untouched for longer than a time, and that no worker has taken:
-- whether nobody serves them is LiveKit's to tell, by its rooms. Of calls without an agent, such as
-- those between users, only those that never began.
create or replace function voice_worker.unserved(older_than interval)
returns table (id uuid, room text)
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select c.id, c.session_id from public.voice_calls c
    where c.status in ('pending', 'active') and c.worker_id is null and c.room_sid is null
        and c.ended_at is null and (c.status = 'pending' or c.ai_agent_used)
        and c.created_at < now() - older_than
        and greatest(c.updated_at, c.started_at, c.connected_at) < now() - older_than
$$;
revoke all on function voice_worker.unserved(interval) from public;

-- Ends those of them whose room is not there, if they are still so. Returns how many.
create or replace function voice_worker.end_unserved(
    sweeper uuid, candidates uuid[], older_than interval
) returns int
language sql set search_path = pg_catalog, pg_temp as $$
    select coalesce((
        voice_worker.sweep_calls(array(
            select u.id from voice_worker.unserved(older_than) u where u.id = any (candidates)
        ), null) ->> 'nobody'
    )::int, 0)
    from voice_worker.workers w
    where w.id = sweeper and voice_worker.watched_for(sweeper) > w.lost_after
$$;
revoke all on function voice_worker.end_unserved(uuid, uuid[], interval) from public;

grant execute on function
    voice_worker.beat(jsonb),
    voice_worker.leave(uuid),
    voice_worker.watched_for(uuid),
    voice_worker.open_calls(),
    voice_worker.sweep_calls(uuid[], uuid[]),
    voice_worker.sweep(uuid),
    voice_worker.unserved(interval),
    voice_worker.end_unserved(uuid, uuid[], interval)
to voice_worker;

call voice_worker.schema_reached(80, 60);

-- migrate:down
