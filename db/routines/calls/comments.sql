-- Describes the columns of voice_calls, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on column public.voice_calls.session_id is
    'Name of the LiveKit room, or name@room_sid when the name was taken';
comment on column public.voice_calls.room_name is 'Name for people';
comment on column public.voice_calls.transcript is
    'What was heard: [minutes:seconds since the call was connected] who: what';
comment on column public.voice_calls.total_tokens_used is
    'Tokens of the messages plus those of model requests that belong to no message';
comment on column public.voice_calls.room_sid is 'One LiveKit room session is one call';
comment on column public.voice_calls.usage_complete is
    'At the end of the call, whether every model of every job of it told of its requests';
comment on column public.voice_calls.cost is
    'Sum over voice_usage of what has a price; null: nothing has';
comment on column public.voice_calls.callee_id is
    'The user who was called, between users; null else';
comment on column public.voice_calls.made_by is 'Role that inserted the row';
comment on column public.voice_calls.usage_gaps is
    'Why usage_complete is false: models that told nothing, one line each';
comment on column public.voice_calls.unpriced_requests is
    'Requests whose model has no price: cost lacks them';
comment on column public.voice_calls.transcript_digest is
    'md5 of the transcript as it was written here; any other, or none, is somebody''s own, and stays';
