-- Applies one batch of events. A worker stores calls only with this statement, so that no lock ever
-- waits for a second message from a dead worker. Applying a batch again changes nothing.
--
-- batch: {"calls": [...], "legs": [...], "messages": [...], "usage": [...]}. Each row of the last
-- three has "call", the key of its call, and a revision; a field that is missing has its default.
-- Locks: the rows of its calls first, in the order of their ids, so that two batches over the same
-- calls cannot deadlock; then only rows of those calls. Waits for another session that holds one of
-- them, as long as the login's lock_timeout allows.
-- Result: {"call_ids": {key: id}}. The id is null if the call's owner has deleted it: then only its
-- usage is counted.
-- Errors: 40001 if a call could not be claimed in five attempts (try again); a row causes any other
-- error.
-- Runs with the caller's rights, under the policies of voice_worker. Called by: voice_worker.
create or replace function voice_worker.apply_batch(batch jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids jsonb := '{}';
    legs jsonb := batch -> 'legs';
    messages jsonb := batch -> 'messages';
    usage jsonb := batch -> 'usage';
    own uuid[];
    ended uuid[];
    c jsonb;
    target uuid;
    deleted boolean := false;
begin
    perform set_config('voice_worker.applying', 'on', true);
    -- What is answered as stored is removed from the worker's disk: it must be on this one.
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    -- All locks first and in one order, so that two batches over the same calls cannot deadlock. Found
    -- first: joined to a function of unknown size, the table would be read whole.
    own := array(
        select voice_worker.find_call(
            r.room_sid, r.key, r.call_id, r.session_id, r.room_created_at
        )
        from jsonb_to_recordset(batch -> 'calls') as r (
            room_sid text, key uuid, call_id uuid, session_id text, room_created_at timestamptz
        )
    );
    perform from public.voice_calls where id = any (own) order by id for no key update;
    own := '{}';
    for c in select value from jsonb_array_elements(batch -> 'calls') loop
        target := voice_worker.claim_call(c);
        ids := ids || jsonb_build_object(c ->> 'key', target);
        own := own || target;
        deleted := deleted or target is null;
    end loop;
    if exists (
        select from voice_worker.deleted_rows d where d.call_id is null or d.call_id = any (own)
    ) then
        legs := voice_worker.not_deleted(legs);
        messages := voice_worker.not_deleted(messages);
        usage := voice_worker.not_deleted(usage);
    end if;
    perform voice_worker.clear_ids(ids, legs, messages);
    -- Only what there is: most batches are of one event, and a column that a later migration brings
    -- holds no call back without it.
    if legs <> '[]' then
        perform voice_worker.apply_legs(ids, legs);
    end if;
    if messages <> '[]' then
        perform voice_worker.apply_messages(ids, messages);
    end if;
    if usage <> '[]' then
        perform voice_worker.apply_usage(ids, usage);
        if deleted then
            perform voice_worker.apply_deleted_usage(ids, usage);
        end if;
    end if;
    for c in select value from jsonb_array_elements(batch -> 'calls') loop
        perform voice_worker.progress_call((ids ->> (c ->> 'key'))::uuid, c);
    end loop;
    ended := array(
        select v.id from public.voice_calls v
        where v.id = any (own) and (v.ended_at is not null or v.status in ('completed', 'failed'))
    );
    -- In every batch, not only in that of the end: a leg can be told after it.
    if cardinality(ended) > 0 then
        perform voice_worker.close_legs(ids, batch -> 'calls');
    end if;
    if legs <> '[]' then
        -- A call that no front end made belongs to the first user who was in it.
        update public.voice_calls v set user_id = first.user_id
        from (
            select distinct on (p.call_id) p.call_id, p.user_id
            from jsonb_to_recordset(legs) as r (call text, id uuid)
            join public.call_participants p on p.id = r.id
            where p.user_id is not null and p.call_id = (ids ->> r.call)::uuid
            order by p.call_id, p.joined_at, p.id
        ) first
        where v.id = first.call_id and v.user_id is null;
        perform voice_worker.note_phone_calls(ids, legs);
    end if;
    -- Whatever a batch tells of a call that has ended may change its transcript.
    if cardinality(ended) > 0 then
        perform voice_worker.write_transcripts(ended);
    end if;
    perform set_config('voice_worker.applying', 'off', true);
    return jsonb_build_object('call_ids', ids);
end
$$;

revoke all on function voice_worker.apply_batch(jsonb) from public;
grant execute on function voice_worker.apply_batch(jsonb) to voice_worker;
