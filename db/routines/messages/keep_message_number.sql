-- A message keeps the number that it has.
--
-- Trigger before update of one row. Locks: none. Nobody calls it.
create or replace function voice_worker.keep_message_number() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.sequence_number := old.sequence_number;
    return new;
end
$$;

revoke all on function voice_worker.keep_message_number() from public;

create or replace trigger voice_messages_keep_sequence_trigger
    before update of sequence_number on public.voice_messages
    for each row when (old.sequence_number is not null)
    execute function voice_worker.keep_message_number();
