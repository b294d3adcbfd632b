-- Writes the SIP call, trunk and rule of a call with a phone leg into its metadata.sip, without the
-- phone numbers, which only the leg has.
--
-- ids: {key: id of the call}. legs: those of the batch.
-- Locks: the rows of the calls that change. Called by: voice_worker.
create or replace function voice_worker.note_phone_calls(ids jsonb, legs jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.voice_calls v
    set metadata = coalesce(v.metadata, '{}') || jsonb_build_object('sip', first.sip)
    from (
        select distinct on (p.call_id) p.call_id, jsonb_strip_nulls(jsonb_build_object(
            'callID', told.by ->> 'sip.callID',
            'trunkID', told.by ->> 'sip.trunkID',
            'ruleID', told.by ->> 'sip.ruleID'
        )) as sip
        from jsonb_to_recordset(legs) as r (call text, kind text)
        join public.call_participants p on p.call_id = (ids ->> r.call)::uuid and p.kind = r.kind
        cross join lateral (
            select coalesce(
                p.metadata -> 'changed' -> 'attributes', p.metadata -> 'attributes'
            ) as by
        ) told
        where r.kind = 'sip'
        order by p.call_id, p.joined_at, p.id
    ) first
    where v.id = first.call_id and v.metadata -> 'sip' is distinct from first.sip
$$;

revoke all on function voice_worker.note_phone_calls(jsonb, jsonb) from public;
grant execute on function voice_worker.note_phone_calls(jsonb, jsonb) to voice_worker;
