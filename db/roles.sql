-- For an administrator (CREATEROLE, or a superuser), where the owner of the database may make no roles,
-- or where another database of the cluster made them first: makes the five roles that rights are given
-- to, and lets the owner give the worker's to logins.
--
--     psql -v ON_ERROR_STOP=1 -v owner=my_owner -f db/roles.sql
--
-- Then the owner runs `python -m db migrate`. Again it changes nothing. What each role is for stands in
-- db/routines/access/roles.sql.
select format('create role %I nologin', wanted) as statement
from unnest(array['anon', 'authenticated', 'service_role', 'voice_worker', 'voice_reader']) wanted
where to_regrole(wanted) is null
\gexec
grant voice_worker, voice_reader to :"owner" with admin option;
