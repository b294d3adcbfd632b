-- Whether a sweep wrote a call's end, and nothing has replaced it. Such an end is a guess: the job's
-- own events, or an end from a front end, replace it.
--
-- Arguments: the columns of the same names. Locks: none. Result: true or false, never null. Called by:
-- voice_worker. A trigger that runs for a front end (block_reopen) repeats the condition, because a
-- front end may not call this.
create or replace function voice_worker.is_swept(
    status public.call_status, end_reason text, ended_at timestamptz, swept_at timestamptz
) returns boolean
language sql immutable parallel safe as $$
    select coalesce(
        status = 'failed' and end_reason in ('worker_lost', 'not_served') and ended_at = swept_at,
        false
    )
$$;

revoke all on function voice_worker.is_swept(public.call_status, text, timestamptz, timestamptz)
    from public;
grant execute on function voice_worker.is_swept(public.call_status, text, timestamptz, timestamptz)
    to voice_worker;
