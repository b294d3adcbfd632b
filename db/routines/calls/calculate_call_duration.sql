-- Computes duration_seconds from the times of a call: whole seconds from its connect (or start, or
-- creation) to its end; 0 if a clock stepped back; null until it ends.
--
-- Trigger before insert or update of one row; with the writer's rights and settings, which is cheaper.
-- Locks: none. Nobody calls it.
create or replace function voice_worker.calculate_call_duration() returns trigger
language plpgsql as $$
begin
    new.duration_seconds := case when new.ended_at is not null then least(2147483647, greatest(
        0, floor(extract(epoch from new.ended_at) - extract(epoch from coalesce(
            new.connected_at, new.started_at, new.created_at
        )))
    )) end;
    return new;
end
$$;

revoke all on function voice_worker.calculate_call_duration() from public;

create or replace trigger voice_calls_calculate_duration_trigger
    before insert or update on public.voice_calls
    for each row when (new.ended_at is not null or new.duration_seconds is not null)
    execute function voice_worker.calculate_call_duration();
