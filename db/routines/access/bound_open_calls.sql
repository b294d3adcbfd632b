-- Raises PT429 if a user has too many calls that have not ended, so that they can't fill other people's
-- list of active calls. Only the user's newest thousand calls count, so that it is cheap.
--
-- of_user: the user. Locks: none. Called by: the trigger of voice_calls, nobody else.
create or replace function voice_worker.bound_open_calls(of_user uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    open_now constant bigint := (
        select count(*) from (
            select c.status from public.voice_calls c where c.user_id = of_user
            order by c.created_at desc limit 1000
        ) n where n.status in ('pending', 'active')
    );
begin
    if open_now >= (select open_calls from voice_worker.user_limits) then
        raise sqlstate 'PT429' using
            message = format('%s calls of this user have not ended', open_now),
            hint = 'End some of them.';
    end if;
end
$$;

revoke all on function voice_worker.bound_open_calls(uuid) from public;
