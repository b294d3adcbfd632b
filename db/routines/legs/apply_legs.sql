-- Stores the legs of a batch: new ones, and newer revisions of those that are there.
--
-- ids: {key: id of the call}; legs of a call without an id are left out. legs: those of the batch. A
-- user_id that is nobody's (any more) is kept in metadata.userId and is no error.
-- Locks: the legs that change; their calls are locked by apply_batch. Called by: voice_worker.
create or replace function voice_worker.apply_legs(ids jsonb, legs jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into public.call_participants as p (
        id, call_id, user_id, participant_identity, participant_name, participant_type, kind,
        participant_sid, joined_at, left_at, disconnect_reason, is_muted, direction, answered_at,
        metadata, revision
    )
    select
        r.id, (ids ->> r.call)::uuid,
        case when voice_worker.user_exists(r.user_id) then r.user_id end,
        left(r.identity, 255), nullif(left(r.name, 255), ''),
        case when coalesce(r.participant_type, 'user') <> 'user' then r.participant_type
            when voice_worker.user_is_admin(r.user_id) then 'admin' else 'user' end,
        coalesce(r.kind, 'standard'), coalesce(r.sid, ''), r.joined_at, r.left_at,
        r.disconnect_reason, coalesce(r.is_muted, false), r.direction, r.answered_at,
        -- An id that is no user's (any more) is kept, never an error.
        case when r.user_id is null or voice_worker.user_exists(r.user_id)
            then coalesce(r.metadata, '{}')
            else coalesce(r.metadata, '{}') || jsonb_build_object('userId', r.user_id) end,
        r.revision
    from jsonb_to_recordset(legs) as r (
        id uuid, call text, user_id uuid, identity text, name text, participant_type text,
        kind text, sid text, joined_at timestamptz, left_at timestamptz, disconnect_reason text,
        is_muted boolean, direction text, answered_at timestamptz, metadata jsonb, revision bigint
    )
    where ids ->> r.call is not null
    on conflict (id) do update set
        user_id = excluded.user_id,
        participant_identity = excluded.participant_identity,
        participant_name = excluded.participant_name,
        participant_type = excluded.participant_type,
        kind = excluded.kind,
        participant_sid = excluded.participant_sid,
        joined_at = excluded.joined_at,
        left_at = excluded.left_at,
        disconnect_reason = excluded.disconnect_reason,
        is_muted = excluded.is_muted,
        direction = excluded.direction,
        answered_at = excluded.answered_at,
        metadata = excluded.metadata,
        closed_by_sweep = false,
        revision = excluded.revision
    where p.revision < excluded.revision
$$;

revoke all on function voice_worker.apply_legs(jsonb, jsonb) from public;
grant execute on function voice_worker.apply_legs(jsonb, jsonb) to voice_worker;
