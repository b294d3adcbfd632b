select count(*) from voice_before.call_participants
