-- Describes the columns of voice_messages, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on column public.voice_messages.content is
    'What was said: of a reply that was cut, what was heard of it';
comment on column public.voice_messages.tokens_used is
    'Language-model tokens of the requests that led to this turn';
comment on column public.voice_messages.participant_identity is 'Who spoke; null: unknown';
comment on column public.voice_messages.transcription_delay_ms is
    'End of speech to its final transcript';
comment on column public.voice_messages.end_of_turn_delay_ms is
    'End of speech to the decision that the turn is over';
comment on column public.voice_messages.llm_ttft_ms is 'Request to the first token';
comment on column public.voice_messages.tts_ttfb_ms is 'First text to the first audio of it';
comment on column public.voice_messages.e2e_latency_ms is
    'End of the caller''s speech to the agent''s first sound';
comment on column public.voice_messages.revision is
    'Newest recorded version of this row; older ones change nothing';
comment on column public.voice_messages.generated_content is
    'All that the model wrote for the turn; null: nothing beyond content';
comment on column public.voice_messages.turn_completed_delay_ms is
    'Time in the agent''s on_user_turn_completed';
comment on column public.voice_messages.first_sentence_ms is 'Request to the first whole sentence';
comment on column public.voice_messages.playout_delay_ms is
    'First audio to the first sound that is played';
