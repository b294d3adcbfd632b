-- Time-ordered ids, so that rows of the same time are close in the index. This function is the same on
-- every version of Postgres, although 18 has its own.
--
-- Locks: none. Result: a UUID of version 7, with the clock's milliseconds. Called by: authenticated,
-- service_role, voice_worker, since the default of a column runs with the rights of the inserter.
create or replace function voice_worker.uuid_v7() returns uuid
language sql volatile parallel safe as $$
    select encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    placing substring(
                        int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3
                    )
                    from 1 for 6
                ),
                52, 1
            ),
            53, 1
        ),
        'hex'
    )::uuid
$$;

revoke all on function voice_worker.uuid_v7() from public;
grant execute on function voice_worker.uuid_v7() to authenticated, service_role, voice_worker;
