-- Who may use which schema. voice_worker and voice_access are nobody's but those named here: PostgREST
-- must not offer them. What lies in voice_access is reached by policies, views and functions of ours,
-- which need no right to the schema.
-- Locks: none.
revoke all on schema voice_worker, voice_access from public;
grant usage on schema public to authenticated, service_role, voice_worker, voice_reader;
grant usage on schema voice_worker to voice_worker, voice_reader;
