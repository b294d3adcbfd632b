select
    id, call_id, user_id, participant_identity, participant_name, participant_type, joined_at,
    left_at, duration_seconds, is_muted, metadata::text as metadata, participant_sid, kind,
    disconnect_reason, closed_by_sweep, revision, direction, answered_at
from public.call_participants
where call_id = $1
order by joined_at, id
