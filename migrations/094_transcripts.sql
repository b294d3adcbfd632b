-- migrate:up
-- voice_calls.transcript: what was heard of a call, a line a turn, written when the call has ended,
-- however it ends. One that somebody else has written is left alone.
alter table public.voice_calls
    add column if not exists transcript_digest text;
comment on column public.voice_calls.transcript is
    'What was heard: [minutes:seconds since the call was connected] who: what';
comment on column public.voice_calls.transcript_digest is
    'md5 of the transcript as it was written here; any other, or none, is somebody''s own, and stays';

-- What somebody says or is called stays on one line: it could pass for another's else.
create or replace function voice_worker.on_one_line(said text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select btrim(regexp_replace(said, '[\s[:cntrl:]\u0085\u2028\u2029]+', ' ', 'g'))
$$;
revoke all on function voice_worker.on_one_line(text) from public;
grant execute on function voice_worker.on_one_line(text) to voice_worker;

create or replace function voice_worker.transcript_of(of_call uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with names as materialized (
        select distinct on (p.participant_identity)
            p.participant_identity as identity, p.participant_type = 'agent' as is_agent,
            voice_worker.on_one_line(translate(p.participant_name, ':', ' ')) as name
        from public.call_participants p
        -- By phone the name is a number, which stands in the leg alone.
        where p.call_id = of_call and p.kind <> 'sip'
        order by p.participant_identity, p.joined_at desc
    ),
    said as materialized (
        select
            m.timestamp, m.sequence_number, m.interrupted, m.role,
            voice_worker.on_one_line(m.content) as content,
            -- A caller who goes by the agent's name is a caller.
            case when m.role = 'assistant' or lower(n.name) not in (
                select lower(a.name) from names a where a.is_agent union all select 'agent'
            ) then nullif(n.name, '') end as name,
            greatest(0, floor(extract(epoch from
                coalesce(m.speech_started_at, m.timestamp)
                - coalesce(v.connected_at, v.started_at, v.created_at)
            )))::bigint as second
        from public.voice_messages m
        join public.voice_calls v on v.id = m.call_id
        left join names n on n.identity = m.participant_identity
        where m.call_id = of_call and m.role in ('user', 'assistant')
    )
    select string_agg(
        format(
            '[%s%s:%s] %s: %s%s',
            case when s.second < 600 then '0' else '' end, s.second / 60,
            lpad((s.second % 60)::text, 2, '0'),
            coalesce(s.name, case s.role when 'user' then 'Caller' else 'Agent' end),
            s.content, case when s.interrupted then ' (interrupted)' else '' end
        ), E'\n' order by s.timestamp, s.sequence_number
    )
    from said s
    where s.content <> ''
$$;
revoke all on function voice_worker.transcript_of(uuid) from public;
grant execute on function voice_worker.transcript_of(uuid) to voice_worker;

create or replace function voice_worker.write_transcripts(calls uuid[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    with written as materialized (
        select c.id, voice_worker.transcript_of(c.id) as text
        from public.voice_calls c
        where c.id = any (calls) and c.status in ('completed', 'failed')
            and md5(c.transcript) is not distinct from c.transcript_digest
    )
    update public.voice_calls v set
        transcript = w.text, transcript_digest = md5(w.text)
    from written w
    where v.id = w.id and v.transcript is distinct from w.text
$$;
revoke all on function voice_worker.write_transcripts(uuid[]) from public;
grant execute on function voice_worker.write_transcripts(uuid[]) to voice_worker;

-- A call that a front end ends, or a sweep. The worker's own ends are written with their batch.
create or replace function voice_worker.write_transcript_at_end() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('voice_worker.applying', true) is distinct from 'on' then
        perform voice_worker.write_transcripts(array[new.id]);
    end if;
    return null;
end
$$;
revoke all on function voice_worker.write_transcript_at_end() from public;
create or replace trigger voice_calls_transcript_trigger
    after update of status on public.voice_calls
    for each row
    when (new.status in ('completed', 'failed') and old.status not in ('completed', 'failed'))
    execute function voice_worker.write_transcript_at_end();

-- A call that goes on after all, its worker having come back, has none yet.
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

-- Which call a deleted row was of: of those from before this it is not known.
alter table voice_worker.deleted_rows add column if not exists call_id uuid;
create index if not exists deleted_rows_call on voice_worker.deleted_rows (call_id);

create or replace function voice_worker.bury_rows() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into voice_worker.deleted_rows (id, call_id)
    select d.id, d.call_id from deleted d
    where exists (select from public.voice_calls c where c.id = d.call_id)
    on conflict do nothing;
    -- What was deleted of a call that has ended is not kept in its transcript.
    perform voice_worker.write_transcripts(array(select distinct d.call_id from deleted d));
    return null;
end
$$;
revoke all on function voice_worker.bury_rows() from public;

-- Nor what an admin has taken out of a turn.
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

-- As in 081, and: the transcript of a call that has ended; and rows are looked at for deleted ones
-- only in calls that have any, which are few.
create or replace function voice_worker.apply_batch(batch jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids jsonb := '{}';
    legs jsonb := batch -> 'legs';
    messages jsonb := batch -> 'messages';
    c jsonb;
begin
    perform set_config('voice_worker.applying', 'on', true);
    -- What is answered as stored is removed from the worker's disk: it must be on this one.
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    -- All locks first and in one order, so that two batches over the same calls cannot deadlock.
    perform from public.voice_calls where id in (
        select voice_worker.find_call(
            r.room_sid, r.key, r.call_id, r.session_id, r.room_created_at
        )
        from jsonb_to_recordset(batch -> 'calls') as r (
            room_sid text, key uuid, call_id uuid, session_id text, room_created_at timestamptz
        )
    ) order by id for no key update;
    for c in select value from jsonb_array_elements(batch -> 'calls') loop
        ids := ids || jsonb_build_object(c ->> 'key', voice_worker.claim_call(c));
    end loop;
    if exists (
        select from voice_worker.deleted_rows d
        where d.call_id is null or d.call_id in (select value::uuid from jsonb_each_text(ids))
    ) then
        legs := voice_worker.not_deleted(legs);
        messages := voice_worker.not_deleted(messages);
    end if;
    perform voice_worker.clear_ids(ids, legs, messages);
    -- Only what there is: a column that a later migration brings holds no call back without it.
    if legs <> '[]' then
        perform voice_worker.apply_legs(ids, legs);
    end if;
    if messages <> '[]' then
        perform voice_worker.apply_messages(ids, messages);
    end if;
    if batch -> 'usage' <> '[]' then
        perform voice_worker.apply_usage(ids, batch -> 'usage');
    end if;
    for c in select value from jsonb_array_elements(batch -> 'calls') loop
        perform voice_worker.progress_call((ids ->> (c ->> 'key'))::uuid, c);
    end loop;
    -- In every batch, not only in that of the end: a leg can be told after it.
    perform voice_worker.close_legs(ids, batch -> 'calls');
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
    -- Whatever a batch tells of a call that has ended may change its transcript.
    perform voice_worker.write_transcripts(
        array(select value::uuid from jsonb_each_text(ids) where value is not null)
    );
    perform set_config('voice_worker.applying', 'off', true);
    return jsonb_build_object('call_ids', ids);
end
$$;
revoke all on function voice_worker.apply_batch(jsonb) from public;

call voice_worker.schema_reached(94, 60);

-- migrate:down
