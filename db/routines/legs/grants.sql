-- Rights to call_participants: reading by table for users, because front ends ask for all columns,
-- writing by column; the policies say which rows. Update and delete serve admins: no policy lets a user
-- do either. The worker deletes nothing that was recorded. voice_reader reads figures: nothing that
-- names a person.
grant select, delete on public.call_participants to authenticated;
grant insert (
    id, call_id, user_id, participant_identity, participant_name, participant_type, joined_at,
    left_at, is_muted, metadata
) on public.call_participants to authenticated;
grant update (participant_name, participant_type, left_at, is_muted, metadata)
    on public.call_participants to authenticated;
grant select, insert, update, delete on public.call_participants to service_role;
grant select, insert, update on public.call_participants to voice_worker;
grant select (
    id, call_id, user_id, participant_type, joined_at, left_at, duration_seconds, is_muted,
    participant_sid, kind, disconnect_reason, closed_by_sweep, direction, answered_at
) on public.call_participants to voice_reader;
