-- Writes the end of a call: only by the job that has the row, and only if the call has not ended or
-- was swept. A call that has ended only learns the reason, if it has none.
--
-- target: the row. c: job_id, end_status, ended_at, end_reason, end_detail.
-- Locks: the call's row. Called by: voice_worker.
create or replace function voice_worker.end_call(target uuid, c jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    detail constant jsonb := coalesce(c -> 'end_detail', '{}');
begin
    update public.voice_calls v set
        status = (c ->> 'end_status')::public.call_status,
        ended_at = (c ->> 'ended_at')::timestamptz,
        end_reason = c ->> 'end_reason',
        metadata = case when detail = '{}' then v.metadata
            else coalesce(v.metadata, '{}') || jsonb_build_object('end', detail) end
    where v.id = target and v.job_id = c ->> 'job_id' and (
        v.status in ('pending', 'active')
        or (v.status = 'failed' and v.end_reason = 'worker_lost' and v.ended_at = v.swept_at)
    );
    update public.voice_calls v set end_reason = c ->> 'end_reason'
    where v.id = target and v.job_id = c ->> 'job_id' and v.end_reason is null
        and v.status in ('completed', 'failed');
end
$$;

revoke all on function voice_worker.end_call(uuid, jsonb) from public;
grant execute on function voice_worker.end_call(uuid, jsonb) to voice_worker;
