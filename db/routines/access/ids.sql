-- Sets voice_worker.uuid_v7 as the default of our tables' ids; that function does not exist yet when
-- the tables are created. A table that already has the default is not touched.
--
-- Locks: a table against everybody, for a moment, once.
do $$
declare
    home regclass;
begin
    foreach home in array array[
        'public.voice_calls', 'public.voice_messages', 'public.call_participants',
        'public.voice_usage'
    ]::regclass[] loop
        if (
            select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d
            join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
            where d.adrelid = home and a.attname = 'id'
        ) is distinct from 'voice_worker.uuid_v7()' then
            execute format('alter table %s alter column id set default voice_worker.uuid_v7()', home);
        end if;
    end loop;
end
$$;
