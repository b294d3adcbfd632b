select count(*) from voice_before.voice_calls
