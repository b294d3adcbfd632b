-- Keeps the status and times of an ended call unchanged by late writes, and prevents a step back: an
-- active call does not become pending again. There are two exceptions: the worker's batch
-- (voice_worker.applying is on, set by a role that may use the private schema), and a front end that
-- ends a call which a sweep had ended.
--
-- Trigger before update of one row. It is the first of the triggers that change a row: Postgres fires
-- them in the order of their names. Locks: none. Nobody calls it.
create or replace function voice_worker.block_reopen() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('voice_worker.applying', true) = 'on'
        and has_schema_privilege('voice_worker', 'usage')
    then
        return new;
    end if;
    if old.status in ('completed', 'failed') then
        new.started_at := old.started_at;
        new.connected_at := old.connected_at;
        -- The condition of is_swept, which a front end may not call.
        if old.status = 'failed' and old.end_reason in ('worker_lost', 'not_served')
            and old.ended_at = old.swept_at and new.status in ('completed', 'failed')
            and (new.status, new.ended_at) is distinct from (old.status, old.ended_at)
        then
            new.ended_at := coalesce(new.ended_at, old.ended_at);
            new.end_reason := nullif(new.end_reason, old.end_reason);
            new.swept_at := null;
            return new;
        end if;
        new.ended_at := coalesce(old.ended_at, new.ended_at);
        new.end_reason := old.end_reason;
    end if;
    new.status := old.status;
    return new;
end
$$;

revoke all on function voice_worker.block_reopen() from public;

create or replace trigger voice_calls_block_reopen_trigger
    before update of status, started_at, connected_at, ended_at, end_reason on public.voice_calls
    for each row when (
        old.status in ('completed', 'failed')
        or (old.status = 'active' and new.status = 'pending')
    )
    execute function voice_worker.block_reopen();
