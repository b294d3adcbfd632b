select
    kind, request_id, estimated, input_tokens, output_tokens, characters,
    case when kind = 'stt' then audio_ms end as audio_ms,
    error is not null and total_tokens = 0 and coalesce(characters, 0) = 0
        and coalesce(audio_ms, 0) = 0 as refused
from public.voice_usage
