select (select count(*) from voice_calls) as calls,
    (select count(*) from call_participants) as participants
