-- migrate:up
-- Tables of the basic schema go into a schema of their own: a moment's lock, whatever their size. The
-- enhanced tables then come empty and take calls at once, and 102 brings the rows over.
do $$
declare
    basic text[] := '{}';
    name text;
begin
    if exists (
        select from pg_attribute
        where attrelid = to_regclass('public.voice_calls') and attname = 'caller_id'
    ) and not exists (
        select from pg_attribute
        where attrelid = to_regclass('public.voice_calls') and attname = 'session_id'
    ) then
        basic := basic || 'voice_calls'::text;
    end if;
    if to_regclass('public.call_participants') is not null and not exists (
        select from pg_attribute
        where attrelid = to_regclass('public.call_participants')
        and attname = 'participant_identity'
    ) then
        basic := basic || 'call_participants'::text;
    end if;
    if basic = '{}' then
        return;
    end if;
    -- Rather fail and be run again than have everybody queue behind a long query.
    perform set_config('lock_timeout', '2s', true);
    create schema if not exists voice_before;
    revoke all on schema voice_before from public;
    foreach name in array basic loop
        if to_regclass('voice_before.' || name) is not null then
            raise exception 'both public.% and voice_before.% are of the basic schema', name, name
                using hint = 'One of them has to go, or its rows into the other.';
        end if;
        execute format('alter table public.%I set schema voice_before', name);
    end loop;
end
$$;

-- migrate:down
