-- The transcript of a call: "[minutes:seconds] who: what", one line per turn, in the order in which the
-- turns were spoken. Seconds count from the connect. A caller with the agent's name is "Caller", and so
-- is a caller by phone, whose name is a number. An agent without a name is "Agent".
--
-- It has at most 256 KiB of text, and at most 16,384 characters per turn; the rest is omitted, with a
-- last line "[...]". Text that users wrote, which nobody heard, is omitted first. So its cost is
-- limited, whatever users write into the call.
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
    turns as materialized (
        select
            m.id, coalesce(m.speech_started_at, m.timestamp) as at,
            -- The size is known without reading the words: a character has four bytes at most. Of two
            -- sessions that talk at once each commits its turns when it likes, so "at" comes first.
            sum(least(octet_length(m.content), 65536)) over (
                order by m.revision = 0, coalesce(m.speech_started_at, m.timestamp), m.timestamp,
                    m.sequence_number
                rows unbounded preceding
            ) as bytes
        from public.voice_messages m
        where m.call_id = of_call and m.role in ('user', 'assistant')
    ),
    said as materialized (
        select
            m.timestamp, m.sequence_number, m.interrupted, m.role, t.at,
            voice_worker.on_one_line(left(m.content, 16384)) as content,
            -- A caller who goes by the agent's name is a caller.
            case when m.role = 'assistant' or lower(n.name) not in (
                select lower(a.name) from names a where a.is_agent and a.name is not null
                union all select 'agent'
            ) then nullif(n.name, '') end as name,
            greatest(0, floor(extract(epoch from
                t.at - coalesce(v.connected_at, v.started_at, v.created_at)
            )))::bigint as second
        from turns t
        join public.voice_messages m on m.id = t.id
        join public.voice_calls v on v.id = of_call
        left join names n on n.identity = m.participant_identity
        where t.bytes <= 262144
    )
    select string_agg(
        format(
            '[%s%s:%s] %s: %s%s',
            case when s.second < 600 then '0' else '' end, s.second / 60,
            lpad((s.second % 60)::text, 2, '0'),
            coalesce(s.name, case s.role when 'user' then 'Caller' else 'Agent' end),
            s.content, case when s.interrupted then ' (interrupted)' else '' end
        ), E'\n' order by s.at, s.timestamp, s.sequence_number
    ) || case when exists (select from turns t where t.bytes > 262144) then E'\n[...]' else '' end
    from said s
    where s.content <> ''
$$;

revoke all on function voice_worker.transcript_of(uuid) from public;
grant execute on function voice_worker.transcript_of(uuid) to voice_worker;
