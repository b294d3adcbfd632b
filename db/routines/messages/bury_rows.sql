-- Records a deleted turn or leg whose call stays, so that neither its next revision nor a leftover file
-- restores it. Rows that are deleted with their call are covered by the call's tombstone. A turn that
-- is deleted from an ended call is also removed from its transcript.
--
-- Trigger after delete, once per statement, on messages and legs; with the owner's rights. Locks: the
-- rows of the calls whose transcript changes. Nobody calls it.
create or replace function voice_worker.bury_rows() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into voice_worker.deleted_rows (id, call_id)
    select d.id, d.call_id from deleted d
    where exists (select from public.voice_calls c where c.id = d.call_id)
    on conflict do nothing;
    -- What was deleted of a call that has ended is not kept in its transcript.
    perform voice_worker.write_transcripts(array(select distinct d.call_id from deleted d));
    return null;
end
$$;

revoke all on function voice_worker.bury_rows() from public;

create or replace trigger voice_messages_tombstone_trigger
    after delete on public.voice_messages referencing old table as deleted
    for each statement execute function voice_worker.bury_rows();
create or replace trigger call_participants_tombstone_trigger
    after delete on public.call_participants referencing old table as deleted
    for each statement execute function voice_worker.bury_rows();
