-- Describes the columns of voice_usage, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on column public.voice_usage.message_id is 'Null: the request led to no message';
comment on column public.voice_usage.input_tokens is
    'Cached, cache-creation and audio tokens are among them';
comment on column public.voice_usage.output_tokens is 'Reasoning and audio tokens are among them';
comment on column public.voice_usage.ttft_ms is 'Time to the first token or the first audio';
comment on column public.voice_usage.estimated is
    'The provider told no figures: these are estimates, or what was known when the worker died';
comment on column public.voice_usage.cost is 'Null: the price is unknown';
comment on column public.voice_usage.revision is
    'Newest recorded version of this row; older ones change nothing';
comment on column public.voice_usage.cached_audio_tokens is 'Among the cached and the audio tokens';
comment on column public.voice_usage.error is 'Class of the failure; null: none';
comment on column public.voice_usage.price_ids is 'The prices that cost was computed with';
