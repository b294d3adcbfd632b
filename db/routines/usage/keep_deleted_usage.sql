-- Keeps the usage of deleted requests, without their call or anything that identifies a person, so that
-- the totals by model and day do not shrink when a call is deleted.
--
-- Trigger after delete, once per statement; with the owner's rights, since the user who deletes a call
-- may not write there. Locks: none. Nobody calls it.
create or replace function voice_worker.keep_deleted_usage() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into voice_worker.deleted_usage (
        id, kind, provider, model, input_tokens, cached_input_tokens, output_tokens, total_tokens,
        audio_ms, characters, cost, created_at, revision
    )
    select
        d.id, d.kind, d.provider, d.model, d.input_tokens, d.cached_input_tokens, d.output_tokens,
        d.total_tokens, d.audio_ms, d.characters, d.cost, d.created_at, d.revision
    from deleted d
    on conflict (id) do nothing;
    -- If the call stays, a replay must not store and count them again.
    insert into voice_worker.deleted_rows (id, call_id)
    select d.id, d.call_id from deleted d
    where exists (select from public.voice_calls c where c.id = d.call_id)
    on conflict do nothing;
    return null;
end
$$;

revoke all on function voice_worker.keep_deleted_usage() from public;

create or replace trigger voice_usage_keep_trigger
    after delete on public.voice_usage referencing old table as deleted
    for each statement execute function voice_worker.keep_deleted_usage();
create or replace trigger deleted_usage_totals_trigger
    after insert on voice_worker.deleted_usage referencing new table as changed
    for each statement execute function voice_worker.add_usage_totals('1');
create or replace trigger deleted_usage_totals_update_old_trigger
    after update on voice_worker.deleted_usage referencing old table as changed
    for each statement execute function voice_worker.add_usage_totals('-1');
create or replace trigger deleted_usage_totals_update_new_trigger
    after update on voice_worker.deleted_usage referencing new table as changed
    for each statement execute function voice_worker.add_usage_totals('1');
