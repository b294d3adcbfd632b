-- migrate:up
-- Triggers of one row: terminal states, durations, updated_at, tombstones. BEFORE triggers fire in
-- the order of their names: block_reopen, calculate_duration, updated_at.

-- An ended call keeps its status and times, whatever comes late. Only code that runs with
-- voice_worker.applying = on, by a role that may use the private schema, can change them.
create or replace function voice_worker.block_reopen() returns trigger
language plpgsql set search_path = '' as $$
begin
    if current_setting('voice_worker.applying', true) = 'on'
        and has_schema_privilege('voice_worker', 'usage')
    then
        return new;
    end if;
    new.status := old.status;
    new.started_at := old.started_at;
    new.connected_at := old.connected_at;
    new.ended_at := coalesce(old.ended_at, new.ended_at);
    new.end_reason := old.end_reason;
    return new;
end
$$;
revoke all on function voice_worker.block_reopen() from public;

create or replace trigger voice_calls_block_reopen_trigger
    before update of status, started_at, connected_at, ended_at, end_reason on public.voice_calls
    for each row when (old.status in ('completed', 'failed'))
    execute function voice_worker.block_reopen();

-- Whole seconds; 0 when a clock stepped back; null while it lasts.
create or replace function voice_worker.seconds_between(since timestamptz, until timestamptz)
returns int language sql immutable parallel safe as $$
    select least(
        2147483647,
        greatest(0, floor(extract(epoch from until) - extract(epoch from since)))
    )::int
    where since is not null and until is not null
$$;
revoke all on function voice_worker.seconds_between(timestamptz, timestamptz) from public;

create or replace function voice_worker.calculate_call_duration() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    new.duration_seconds := voice_worker.seconds_between(
        coalesce(new.connected_at, new.started_at, new.created_at), new.ended_at
    );
    return new;
end
$$;
revoke all on function voice_worker.calculate_call_duration() from public;

create or replace trigger voice_calls_calculate_duration_trigger
    before insert or update on public.voice_calls
    for each row when (new.ended_at is not null or new.duration_seconds is not null)
    execute function voice_worker.calculate_call_duration();

create or replace function voice_worker.calculate_leg_duration() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    new.duration_seconds := voice_worker.seconds_between(new.joined_at, new.left_at);
    return new;
end
$$;
revoke all on function voice_worker.calculate_leg_duration() from public;

create or replace trigger call_participants_calculate_duration_trigger
    before insert or update on public.call_participants
    for each row when (new.left_at is not null or new.duration_seconds is not null)
    execute function voice_worker.calculate_leg_duration();

create or replace function voice_worker.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    return new;
end
$$;
revoke all on function voice_worker.touch_updated_at() from public;

create or replace trigger voice_calls_updated_at_trigger
    before update on public.voice_calls
    for each row when (old.* is distinct from new.*)
    execute function voice_worker.touch_updated_at();

create or replace function voice_worker.bury_calls() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into voice_worker.tombstones (call_id, room_sid)
    select d.id, case when t.room_sid is null then d.room_sid end
    from deleted d left join voice_worker.tombstones t on t.room_sid = d.room_sid
    on conflict (call_id) do update set
        room_sid = coalesce(tombstones.room_sid, excluded.room_sid),
        deleted_at = excluded.deleted_at;
    return null;
end
$$;
revoke all on function voice_worker.bury_calls() from public;

create or replace trigger voice_calls_tombstone_trigger
    after delete on public.voice_calls referencing old table as deleted
    for each statement execute function voice_worker.bury_calls();

call voice_worker.schema_reached(30, 20);

-- migrate:down
