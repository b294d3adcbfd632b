-- Writes the connect and the end of a call.
--
-- target: its row, null if it was deleted (nothing is done). c: the call in the batch: connected_at,
-- ended_at and what end_call and close_ledger take.
-- Locks: the call's row. Called by: voice_worker.
create or replace function voice_worker.progress_call(target uuid, c jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    connected constant timestamptz := (c ->> 'connected_at')::timestamptz;
begin
    if connected is not null then
        update public.voice_calls v set
            connected_at = coalesce(v.connected_at, connected),
            status = case when v.status = 'pending' then 'active' else v.status end
        where v.id = target and (v.connected_at is null or v.status = 'pending');
    end if;
    if c ->> 'ended_at' is not null then
        perform voice_worker.end_call(target, c);
        perform voice_worker.close_ledger(target, c);
    end if;
end
$$;

revoke all on function voice_worker.progress_call(uuid, jsonb) from public;
grant execute on function voice_worker.progress_call(uuid, jsonb) to voice_worker;
