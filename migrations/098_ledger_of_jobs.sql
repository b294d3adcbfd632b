-- migrate:up
-- A call's ledger is that of all its jobs: one that died leaves gaps, whoever ends the call later.

-- In an earlier form only the job that owned the call was heard, and the last one's word counted.
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
comment on column public.voice_calls.usage_complete is
    'At the end of the call, whether every model of every job of it told of its requests';

call voice_worker.schema_reached(98, 60);

-- migrate:down
