-- Gives a login the worker's rights: grants it the role voice_worker, and sets its time limits. The
-- limits belong to the login, because PgBouncer refuses them as start-up parameters of a connection.
--
-- login: a role that inherits the rights granted to it; otherwise error 42704, with the statement that
-- creates one. A second call changes nothing.
-- Neither the login nor its limits are in a dump: call this again after a restore in another cluster.
-- If another database of the cluster has created the roles, only its owner may grant them: otherwise
-- error 42501, with the statements for an administrator (db/roles.sql is a permanent solution).
-- Locks: none. Called by: the owner, who must be allowed to grant voice_worker.
create or replace function voice_worker.enlist(login name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    quoted constant text := '"' || replace(login, '"', '""') || '"';
    step text;
    steps constant text[] := array[
        'grant voice_worker to ' || quoted,
        'alter role ' || quoted || ' set statement_timeout = ''30s''',
        'alter role ' || quoted || ' set lock_timeout = ''5s''',
        'alter role ' || quoted || ' set idle_in_transaction_session_timeout = ''10s'''
    ];
begin
    if not exists (select from pg_catalog.pg_roles where rolname = login and rolinherit) then
        raise exception 'there is no role "%" that inherits the rights granted to it', login
            using errcode = 'undefined_object',
            hint = format('create role %I login inherit password ''...'';', login);
    end if;
    foreach step in array steps loop
        execute step;
    end loop;
exception when insufficient_privilege then
    raise exception 'the login % may not give away the role voice_worker', current_user
        using errcode = 'insufficient_privilege',
        hint = 'Have an administrator run: ' || array_to_string(steps, '; ');
end
$$;

revoke all on function voice_worker.enlist(name) from public;
