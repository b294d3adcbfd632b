-- migrate:up
-- A user may write times of his call, message or leg. One beyond what clients can hold, such as the
-- year 20000 or infinity, would break every list it is in, of Python's clients for one: no row of the
-- worker's can have it. Rows from before are looked at by 068, in a transaction of its own: this one
-- holds an exclusive lock.
do $$
declare
    given record;
begin
    for given in
        select * from (values
            ('voice_calls', array['started_at', 'connected_at', 'ended_at', 'created_at']),
            ('voice_messages', array['timestamp']),
            ('call_participants', array['joined_at', 'left_at'])
        ) t (home, columns)
    loop
        if not exists (
            select from pg_constraint where conname = given.home || '_times_check'
            and conrelid = ('public.' || given.home)::regclass
        ) then
            execute format(
                'alter table public.%I add constraint %I check (%s) not valid',
                given.home, given.home || '_times_check', (
                    select string_agg(format(
                        '(%I >= ''0001-01-01 00:00+00'' and %I < ''9999-12-31 00:00+00'')', c, c
                    ), ' and ') from unnest(given.columns) c
                )
            );
        end if;
    end loop;
end
$$;

call voice_worker.schema_reached(67, 60);

-- migrate:down
