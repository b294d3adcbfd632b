-- Makes a login the worker's: grants it the role voice_worker, and sets its time limits. The limits
-- belong to the login, because PgBouncer refuses them as start-up parameters of a connection.
--
-- login: a role that inherits the rights granted to it; error 42704 otherwise, with the statement that
-- makes one. Again changes nothing.
-- Neither the login nor its limits are in a dump: call this again after one was restored in another
-- cluster. Locks: none. Called by: the owner, who must be allowed to grant voice_worker.
create or replace function voice_worker.enlist(login name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = login and rolinherit) then
        raise exception 'there is no role "%" that inherits the rights granted to it', login
            using errcode = 'undefined_object',
            hint = format('create role %I login inherit password ''...'';', login);
    end if;
    execute format('grant voice_worker to %I', login);
    execute format('alter role %I set statement_timeout = ''30s''', login);
    execute format('alter role %I set lock_timeout = ''5s''', login);
    execute format('alter role %I set idle_in_transaction_session_timeout = ''10s''', login);
end
$$;

revoke all on function voice_worker.enlist(name) from public;
