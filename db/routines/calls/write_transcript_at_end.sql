-- Writes the transcript of a call that a front end or a sweep ends. For calls that the worker ends, its
-- batch writes the transcript.
--
-- Trigger after update of one row, with the owner's rights, since a front end may not read all of the
-- call. Locks: the call's row. Nobody calls it. An error in one call's turns is only a warning in
-- Postgres' log, so that this call and the others of a sweep still end.
create or replace function voice_worker.write_transcript_at_end() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('voice_worker.applying', true) is distinct from 'on' then
        begin
            perform voice_worker.write_transcripts(array[new.id]);
        exception when others then
            raise warning 'call % has ended without its transcript: % %', new.id, sqlstate, sqlerrm;
        end;
    end if;
    return null;
end
$$;

revoke all on function voice_worker.write_transcript_at_end() from public;

create or replace trigger voice_calls_transcript_trigger
    after update of status on public.voice_calls
    for each row
    when (new.status in ('completed', 'failed') and old.status not in ('completed', 'failed'))
    execute function voice_worker.write_transcript_at_end();
