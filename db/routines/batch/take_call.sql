-- Claims a row for a job: a free row, or that of an older job in the same room session. Reopens a call
-- that a sweep has ended, also for the job that already holds it. Legs that the sweep closed are
-- reopened, unless a newer job joined: that job records its own legs.
--
-- target: the row. c: the call in the batch, with room_sid, job_id, at, worker_id, agent_identity,
-- metadata.
-- Locks: the row, even if nothing changes, because apply_messages relies on it; the row that has to
-- give up the name. Result: false if the row now belongs to another room session, or was deleted.
-- Called by: voice_worker.
create or replace function voice_worker.take_call(target uuid, c jsonb) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    sid constant text := c ->> 'room_sid';
    started constant timestamptz := (c ->> 'at')::timestamptz;
    was record;
    taken_over boolean;
begin
    -- Locked also if nothing changes: apply_messages counts on it.
    select
        o.job_id, o.job_started_at, o.end_reason,
        voice_worker.is_swept(o.status, o.end_reason, o.ended_at, o.swept_at) as swept,
        o.status = 'failed' and o.end_reason in ('worker_crashed', 'worker_lost') as died,
        o.made_by = 'authenticated'
            and starts_with(o.session_id, left(c ->> 'session_id', 218) || '@') as name_taken
    into was from public.voice_calls o
    where o.id = target and (o.room_sid is null or o.room_sid = sid)
    for no key update;
    if not found then
        return false;
    end if;
    taken_over := coalesce(was.job_started_at < started, true);
    if taken_over then
        update public.voice_calls v set
            room_sid = sid,
            started_at = coalesce(v.started_at, started),
            ai_agent_used = true,
            agent_identity = left(c ->> 'agent_identity', 255),
            job_id = c ->> 'job_id',
            job_started_at = started,
            worker_id = (c ->> 'worker_id')::uuid,
            metadata = coalesce(v.metadata, '{}') || coalesce(c -> 'metadata', '{}')
        where v.id = target;
        if was.name_taken then
            perform voice_worker.give_name_back(target, c ->> 'session_id');
        end if;
    end if;
    if (taken_over and (was.swept or was.died)) or (was.swept and was.job_id = c ->> 'job_id') then
        update public.voice_calls v set
            status = (
                case when v.connected_at is null then 'pending' else 'active' end
            )::public.call_status,
            ended_at = null, end_reason = null, swept_at = null
        where v.id = target;
        if not taken_over or was.end_reason = 'not_served' then
            update public.call_participants p set left_at = null, closed_by_sweep = false
            where p.call_id = target and p.closed_by_sweep;
        end if;
    end if;
    return true;
end
$$;

revoke all on function voice_worker.take_call(uuid, jsonb) from public;
grant execute on function voice_worker.take_call(uuid, jsonb) to voice_worker;
