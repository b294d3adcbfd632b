select id from public.voice_messages
union all
select id from public.call_participants
union all
select id from public.voice_usage
