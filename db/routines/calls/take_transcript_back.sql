-- Removes the transcript of a call that is reopened because its worker came back. A transcript that
-- another writer has written stays.
--
-- Trigger before update of one row. Locks: none. Nobody calls it.
create or replace function voice_worker.take_transcript_back() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if md5(new.transcript) = new.transcript_digest then
        new.transcript := null;
        new.transcript_digest := null;
    end if;
    return new;
end
$$;

revoke all on function voice_worker.take_transcript_back() from public;

create or replace trigger voice_calls_no_transcript_trigger
    before update of status on public.voice_calls
    for each row
    when (old.status in ('completed', 'failed') and new.status not in ('completed', 'failed'))
    execute function voice_worker.take_transcript_back();
