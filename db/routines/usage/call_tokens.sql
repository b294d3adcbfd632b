-- The tokens of a request that count for its call, and for no message: those of a language model's
-- request that led to none.
--
-- Arguments: columns of voice_usage. Locks: none. Called by the trigger of voice_usage, nobody else.
create or replace function voice_worker.call_tokens(message_id uuid, kind text, total_tokens int)
returns int
language sql immutable parallel safe
return case when message_id is null and kind in ('llm', 'realtime') then total_tokens else 0 end;

revoke all on function voice_worker.call_tokens(uuid, text, int) from public;
