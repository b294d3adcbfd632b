-- Requests of a turn that was refused when they were stored: they were counted without it.
update voice_usage u set message_id = m.id
from voice_messages m
where m.id = $1 and u.call_id = m.call_id and u.speech_id = m.speech_id and u.message_id is null
and not exists (
    select from voice_messages other
    where other.call_id = m.call_id and other.speech_id = m.speech_id and other.id <> m.id
)
