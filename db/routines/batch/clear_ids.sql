-- Gives a new id to a leg or message of another call that has the same id as one in the batch.
-- Otherwise a user who knows an id of the recorder could use it first, and our row would be stored in
-- that user's call. The other row stays in its call.
--
-- ids: {key: id of the call}. legs, messages: those of the batch.
-- Locks: the rows that get another id. Called by: voice_worker.
create or replace function voice_worker.clear_ids(ids jsonb, legs jsonb, messages jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
-- A plan that was made while the table was small, or unknown, stays with the session.
set enable_seqscan = off as $$
declare
    taken uuid[];
begin
    if legs <> '[]' then
        select array_agg(r.id) into taken
        from jsonb_to_recordset(legs) as r (id uuid, call text)
        where (select p.call_id from public.call_participants p where p.id = r.id)
            <> (ids ->> r.call)::uuid;
        if taken is not null then
            update public.call_participants set id = voice_worker.uuid_v7() where id = any (taken);
        end if;
    end if;
    if messages <> '[]' then
        select array_agg(r.id) into taken
        from jsonb_to_recordset(messages) as r (id uuid, call text)
        where (select m.call_id from public.voice_messages m where m.id = r.id)
            <> (ids ->> r.call)::uuid;
        if taken is not null then
            update public.voice_messages set id = voice_worker.uuid_v7() where id = any (taken);
        end if;
    end if;
end
$$;

revoke all on function voice_worker.clear_ids(jsonb, jsonb, jsonb) from public;
grant execute on function voice_worker.clear_ids(jsonb, jsonb, jsonb) to voice_worker;
