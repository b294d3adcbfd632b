-- Writes the connect and the end of a call in one update, because each update of a call's row also
-- updates indexes and fires triggers.
--
-- Only the job that holds the row writes the end, and only if the call has not ended or was swept; a
-- call that has ended gets only the reason, if it has none. A call's ledger covers all of its jobs: a
-- job that died leaves gaps, even if another job ends the call. A second time, nothing changes.
--
-- target: the row, null if it was deleted (nothing is done). c: the call in the batch: job_id,
-- connected_at, ended_at, end_status, end_reason, end_detail, usage_complete (null: unknown),
-- usage_gaps.
-- Locks: the call's row. Called by: voice_worker.
create or replace function voice_worker.progress_call(target uuid, c jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    connected constant timestamptz := (c ->> 'connected_at')::timestamptz;
    ended constant timestamptz := (c ->> 'ended_at')::timestamptz;
    detail constant jsonb := coalesce(c -> 'end_detail', '{}');
    complete constant boolean := case when ended is not null then (c ->> 'usage_complete')::boolean end;
    v public.voice_calls;
    w public.voice_calls;
    mine boolean;
begin
    if connected is null and ended is null then
        return;
    end if;
    select * into v from public.voice_calls where id = target for no key update;
    if not found then
        return;
    end if;
    w := v;
    if connected is not null then
        w.connected_at := coalesce(v.connected_at, connected);
        w.status := case when v.status = 'pending' then 'active' else v.status end;
    end if;
    mine := ended is not null and v.job_id = c ->> 'job_id';
    if mine and (
        w.status in ('pending', 'active')
        or (v.status = 'failed' and v.end_reason = 'worker_lost' and v.ended_at = v.swept_at)
    ) then
        w.status := c ->> 'end_status';
        w.ended_at := ended;
        w.end_reason := c ->> 'end_reason';
        if detail <> '{}' then
            w.metadata := coalesce(v.metadata, '{}') || jsonb_build_object('end', detail);
        end if;
    elsif mine and w.status in ('completed', 'failed') then
        w.end_reason := coalesce(v.end_reason, c ->> 'end_reason');
    end if;
    if complete is not null then
        -- Complete, or with gaps: a job has told before.
        w.usage_complete := complete and (v.usage_complete or v.usage_gaps is null);
        if not complete or v.usage_gaps is not null then
            w.usage_gaps := array(
                select unnest(coalesce(v.usage_gaps, '{}'))
                union
                select jsonb_array_elements_text(coalesce(c -> 'usage_gaps', '[]'))
                order by 1
            );
        end if;
    end if;
    if w is distinct from v then
        update public.voice_calls set
            connected_at = w.connected_at, status = w.status, ended_at = w.ended_at,
            end_reason = w.end_reason, metadata = w.metadata,
            usage_complete = w.usage_complete, usage_gaps = w.usage_gaps
        where id = target;
    end if;
end
$$;

revoke all on function voice_worker.progress_call(uuid, jsonb) from public;
grant execute on function voice_worker.progress_call(uuid, jsonb) to voice_worker;
