-- Writes the transcript again when an admin has changed the words of a turn, so that removed words do
-- not stay in it.
--
-- Trigger after update of one row, with the owner's rights. Not for the worker's batch, which writes
-- transcripts itself. Locks: the call's row. Nobody calls it.
create or replace function voice_worker.write_transcript_again() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform voice_worker.write_transcripts(array[new.call_id]);
    return null;
end
$$;

revoke all on function voice_worker.write_transcript_again() from public;

create or replace trigger voice_messages_transcript_trigger
    after update of content on public.voice_messages
    for each row
    when (
        new.content is distinct from old.content
        and current_setting('voice_worker.applying', true) is distinct from 'on'
    )
    execute function voice_worker.write_transcript_again();
