-- Computes duration_seconds from the times of a leg: whole seconds from join to leave; 0 if a clock
-- stepped back; null until it ends.
--
-- Trigger before insert or update of one row; with the writer's rights and settings, which is cheaper.
-- Locks: none. Nobody calls it.
create or replace function voice_worker.calculate_leg_duration() returns trigger
language plpgsql as $$
begin
    new.duration_seconds := case when new.left_at is not null then least(2147483647, greatest(
        0, floor(extract(epoch from new.left_at) - extract(epoch from new.joined_at))
    )) end;
    return new;
end
$$;

revoke all on function voice_worker.calculate_leg_duration() from public;

create or replace trigger call_participants_calculate_duration_trigger
    before insert or update on public.call_participants
    for each row when (new.left_at is not null or new.duration_seconds is not null)
    execute function voice_worker.calculate_leg_duration();
