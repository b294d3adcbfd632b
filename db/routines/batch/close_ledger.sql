-- Writes whether every model request of a call is known. A call's ledger is that of all its jobs: one
-- that died leaves gaps, whoever ends the call later. Told again, it changes nothing.
--
-- target: the row. c: usage_complete (null: nothing is said), usage_gaps.
-- Locks: the call's row. Called by: voice_worker.
create or replace function voice_worker.close_ledger(target uuid, c jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.voice_calls v set
        -- Complete, or with gaps: a job has told before. Told again, it changes nothing.
        usage_complete = (c ->> 'usage_complete')::boolean
            and (v.usage_complete or v.usage_gaps is null),
        usage_gaps = case
            when not (c ->> 'usage_complete')::boolean or v.usage_gaps is not null then array(
                select unnest(coalesce(v.usage_gaps, '{}'))
                union
                select jsonb_array_elements_text(coalesce(c -> 'usage_gaps', '[]'))
                order by 1
            )
        end
    where v.id = target and c ->> 'usage_complete' is not null
$$;

revoke all on function voice_worker.close_ledger(uuid, jsonb) from public;
grant execute on function voice_worker.close_ledger(uuid, jsonb) to voice_worker;
