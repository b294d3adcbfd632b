insert into call_participants (
    call_id, user_id, participant_name, joined_at, left_at, duration_seconds
)
select c.id, who.id, 'Ada Lovelace', c.started_at, c.ended_at, 240
from voice_calls c, lateral (
    values (c.caller_id), ('agent'), ('colleague-' || right(c.id::text, 4))
) who (id)
