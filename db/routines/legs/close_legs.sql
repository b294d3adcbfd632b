-- Ends the legs that are still open when their call has ended. A leave that is reported later still
-- counts. If only the agent left and people may talk on, their legs stay open (open_legs).
--
-- ids: {key: id of the call}. calls: those of the batch; a call that now belongs to another job is
-- skipped.
-- Locks: the legs that change. Called by: voice_worker.
create or replace function voice_worker.close_legs(ids jsonb, calls jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.call_participants p set left_at = greatest(p.joined_at, v.ended_at)
    from jsonb_to_recordset(calls) as r (key text, job_id text)
    join public.voice_calls v on v.id = (ids ->> r.key)::uuid and v.job_id = r.job_id
    where p.call_id = v.id and p.left_at is null and v.ended_at is not null
        and not (p.participant_type <> 'agent' and voice_worker.people_talk_on(v.end_reason))
$$;

revoke all on function voice_worker.close_legs(jsonb, jsonb) from public;
grant execute on function voice_worker.close_legs(jsonb, jsonb) to voice_worker;
