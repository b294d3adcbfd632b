-- Writes a tombstone for each deleted call, so that its late events are discarded, and deletes its
-- refused events.
--
-- Trigger after delete, once per statement; with the owner's rights, since the user who deletes a call
-- may not write tombstones. Locks: the tombstones it writes. Nobody calls it.
create or replace function voice_worker.bury_calls() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into voice_worker.tombstones (call_id, room_sid)
    select d.id, case when t.room_sid is null then d.room_sid end
    from deleted d left join voice_worker.tombstones t on t.room_sid = d.room_sid
    on conflict (call_id) do update set
        room_sid = coalesce(tombstones.room_sid, excluded.room_sid),
        deleted_at = excluded.deleted_at;
    -- They hold what was said, and would never be stored any more.
    delete from voice_worker.refused_events r using deleted d
    where r.call_id = d.id;
    return null;
end
$$;

revoke all on function voice_worker.bury_calls() from public;

create or replace trigger voice_calls_tombstone_trigger
    after delete on public.voice_calls referencing old table as deleted
    for each statement execute function voice_worker.bury_calls();
