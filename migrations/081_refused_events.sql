-- migrate:up
-- What a retry of a refused event needs, and rows that stay deleted.
alter table voice_worker.refused_events
    add column if not exists call_key uuid,
    add column if not exists header jsonb;
comment on column voice_worker.refused_events.call_id is 'The call''s row; null if there is none';
comment on column voice_worker.refused_events.call_key is 'The key that the recorder made for it';
comment on column voice_worker.refused_events.header is 'The call''s first event';

-- So far call_id held the key, which is not the row's id where a front end had made the row.
update voice_worker.refused_events r set
    call_key = r.call_id,
    call_id = coalesce(
        (select id from public.voice_calls where id = r.call_id),
        (select id from public.voice_calls where job_id = r.job_id limit 1)
    )
where r.call_id is not null and r.call_key is null;

-- A turn or leg that somebody has deleted while its call goes on: the next version of it, or a
-- leftover file, must not bring it back. Those that go with their call are known by the call's
-- tombstone.
create table if not exists voice_worker.deleted_rows (
    id uuid primary key,
    call_id uuid not null,
    deleted_at timestamptz not null default now()
);
create index if not exists deleted_rows_call on voice_worker.deleted_rows (call_id);
grant select on voice_worker.deleted_rows to voice_worker;

create or replace function voice_worker.bury_rows() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into voice_worker.deleted_rows (id, call_id)
    select d.id, d.call_id from deleted d
    where exists (select from public.voice_calls c where c.id = d.call_id)
    on conflict do nothing;
    return null;
end
$$;
revoke all on function voice_worker.bury_rows() from public;

create or replace trigger voice_messages_tombstone_trigger
    after delete on public.voice_messages referencing old table as deleted
    for each statement execute function voice_worker.bury_rows();
create or replace trigger call_participants_tombstone_trigger
    after delete on public.call_participants referencing old table as deleted
    for each statement execute function voice_worker.bury_rows();

-- Rows of a batch without those that were deleted.
create or replace function voice_worker.not_deleted(rows jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(jsonb_agg(r order by place), '[]')
    from jsonb_array_elements(rows) with ordinality as e (r, place)
    where not exists (select from voice_worker.deleted_rows d where d.id = (r ->> 'id')::uuid)
$$;
revoke all on function voice_worker.not_deleted(jsonb) from public;
grant execute on function voice_worker.not_deleted(jsonb) to voice_worker;

-- As in 066, without rows that somebody has deleted.
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
    -- Few calls have any: to look at each row of all others would cost a quarter of the time.
    if exists (
        select from voice_worker.deleted_rows d
        where d.call_id in (select value::uuid from jsonb_each_text(ids))
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
    perform set_config('voice_worker.applying', 'off', true);
    return jsonb_build_object('call_ids', ids);
end
$$;
revoke all on function voice_worker.apply_batch(jsonb) from public;

call voice_worker.schema_reached(81, 60);

-- migrate:down
