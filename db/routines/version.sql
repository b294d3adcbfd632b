-- The version of the schema: one number for tables and routines, that of the newest migration or of the
-- newest change of what a routine promises. Runs last.
--
-- version: what a worker asks for at its start (SCHEMA_VERSION_NEEDED in
-- callrecord/postgres/schema_version.py is the version that it was written for). oldest_worker: the
-- smallest such number that is still served.
--
-- The rule: a routine whose contract changes (arguments, result, what it promises) gets a new name, and
-- the old one stays for as long as oldest_worker is below this change, so that old and new workers run
-- side by side while a release is rolled out. A change that every caller may find overnight keeps its
-- name, and needs no new number.
insert into voice_worker.schema_version as v (version, oldest_worker) values (103, 60)
on conflict (only_row) do update set
    version = excluded.version,
    oldest_worker = excluded.oldest_worker,
    updated_at = now();
