-- Who may use which schema. Only the roles named here may use voice_worker and voice_access: PostgREST
-- must not expose them. Our policies, views and functions use voice_access without a right to the
-- schema.
-- Locks: none.
revoke all on schema voice_worker, voice_access from public;
grant usage on schema public to authenticated, service_role, voice_worker, voice_reader;
grant usage on schema voice_worker to voice_worker, voice_reader;
