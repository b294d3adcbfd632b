-- Numbers of a call's messages are unique, increase and never change. A number that is missing, taken,
-- behind or too far ahead becomes the next one, so that two writers who counted to the same number
-- both succeed.
--
-- Trigger before insert of one row, with the owner's rights: row level security would hide the call
-- from a participant's insert. It fires before ON CONFLICT is looked at, so a message whose id is
-- there already is left alone: a replay must not use up numbers. A worker's batch comes with its
-- numbers; nobody else can claim that of his rows.
-- Locks: the call's row. Nobody calls it.
create or replace function voice_worker.number_message() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
-- A plan that was made while the table was small, or unknown, stays with the session: it may read the
-- whole call for each message. Only the end of the index is read.
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
declare
    -- A number further ahead is no counting but a mistake, and could use up the range of int.
    widest_gap constant int := 1000;
    -- Nor can many such steps use it up: from here on each number is the next.
    last_step constant int := 1000000000;
    newest int;
begin
    perform from public.voice_calls where id = new.call_id for no key update;
    if exists (select from public.voice_messages where id = new.id) then
        return new;
    end if;
    select sequence_number into newest from public.voice_messages
    where call_id = new.call_id and sequence_number is not null
    order by sequence_number desc limit 1;
    newest := coalesce(newest, 0);
    if new.sequence_number is null
        or new.sequence_number not between newest + 1 and least(newest + widest_gap, last_step)
    then
        new.sequence_number := newest + 1;
    end if;
    return new;
end
$$;

revoke all on function voice_worker.number_message() from public;

create or replace trigger voice_messages_sequence_trigger
    before insert on public.voice_messages
    for each row
    -- A batch of the worker's comes with its numbers; nobody else can claim that of his rows.
    when (
        current_setting('voice_worker.applying', true) is distinct from 'on'
        or not has_schema_privilege('voice_worker', 'usage')
    )
    execute function voice_worker.number_message();
