-- The transcript of a call: "[minutes:seconds] who: what", a line a turn, in the order in which the
-- turns were spoken. Seconds count from the connect. A caller who goes by the agent's name is
-- "Caller", a caller by phone too (his name is a number). An agent without a name is "Agent".
--
-- of_call: the call. Locks: none. Result: the text, null if nothing was said. Called by: voice_worker,
-- and triggers.
create or replace function voice_worker.transcript_of(of_call uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with names as materialized (
        select distinct on (p.participant_identity)
            p.participant_identity as identity, p.participant_type = 'agent' as is_agent,
            voice_worker.on_one_line(translate(p.participant_name, ':', ' ')) as name
        from public.call_participants p
        -- By phone the name is a number, which stands in the leg alone.
        where p.call_id = of_call and p.kind <> 'sip'
        order by p.participant_identity, p.joined_at desc
    ),
    said as materialized (
        select
            m.timestamp, m.sequence_number, m.interrupted, m.role,
            voice_worker.on_one_line(m.content) as content,
            -- A caller who goes by the agent's name is a caller.
            case when m.role = 'assistant' or lower(n.name) not in (
                select lower(a.name) from names a where a.is_agent and a.name is not null
                union all select 'agent'
            ) then nullif(n.name, '') end as name,
            -- Of two sessions that talk at once each commits its turns when it likes.
            coalesce(m.speech_started_at, m.timestamp) as at,
            greatest(0, floor(extract(epoch from
                coalesce(m.speech_started_at, m.timestamp)
                - coalesce(v.connected_at, v.started_at, v.created_at)
            )))::bigint as second
        from public.voice_messages m
        join public.voice_calls v on v.id = m.call_id
        left join names n on n.identity = m.participant_identity
        where m.call_id = of_call and m.role in ('user', 'assistant')
    )
    select string_agg(
        format(
            '[%s%s:%s] %s: %s%s',
            case when s.second < 600 then '0' else '' end, s.second / 60,
            lpad((s.second % 60)::text, 2, '0'),
            coalesce(s.name, case s.role when 'user' then 'Caller' else 'Agent' end),
            s.content, case when s.interrupted then ' (interrupted)' else '' end
        ), E'\n' order by s.at, s.timestamp, s.sequence_number
    )
    from said s
    where s.content <> ''
$$;

revoke all on function voice_worker.transcript_of(uuid) from public;
grant execute on function voice_worker.transcript_of(uuid) to voice_worker;
