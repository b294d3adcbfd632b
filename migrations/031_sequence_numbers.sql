-- migrate:up
-- Numbers of a call's messages: unique, increasing, never changed. A number that is missing, taken
-- or behind becomes the next one, so two writers who counted to the same number both succeed.
--
-- A BEFORE INSERT trigger fires before ON CONFLICT is looked at. An id that is there already is
-- therefore left alone: a replay must not use up numbers.
create or replace function voice_worker.number_message() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    -- A number further ahead is no counting but a mistake, and could use up the range of int.
    widest_gap constant int := 1000;
    newest int;
begin
    perform from public.voice_calls where id = new.call_id for no key update;
    if exists (select from public.voice_messages where id = new.id) then
        return new;
    end if;
    select coalesce(max(sequence_number), 0) into newest
    from public.voice_messages where call_id = new.call_id;
    if new.sequence_number is null
        or new.sequence_number not between newest + 1 and newest + widest_gap
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

create or replace function voice_worker.keep_message_number() returns trigger
language plpgsql set search_path = '' as $$
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

call voice_worker.schema_reached(31, 20);

-- migrate:down
