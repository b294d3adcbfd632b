-- Takes back what default privileges have given on our tables, as Supabase's do to anon, authenticated
-- and service_role for whatever is made in public: each right to a whole table that is not meant. Comes
-- before all grants.
--
-- TRUNCATE is never meant on the tables of calls: it fires no trigger of rows and leaves no tombstones.
-- Nor is TRIGGER: a trigger that service_role made would run with the rights of whoever writes next.
-- Rights to single columns stay: a team may give some of its own. (A right to the whole table, when it
-- is taken back, takes those to single columns of it along; ours are granted again.)
-- Locks: none.
do $$
declare
    given record;
begin
    for given in
        select c.oid::regclass as home, x.privilege_type as privilege,
            coalesce(quote_ident(r.rolname), 'public') as holder
        from (values
            ('voice_calls', '{SELECT,DELETE}'::text[], '{SELECT,INSERT,UPDATE,DELETE}'::text[]),
            ('voice_messages', '{SELECT,DELETE}', '{SELECT,INSERT,UPDATE,DELETE}'),
            ('call_participants', '{SELECT,DELETE}', '{SELECT,INSERT,UPDATE,DELETE}'),
            ('voice_usage', '{SELECT}', '{SELECT,INSERT,UPDATE,DELETE}'),
            ('model_prices', '{SELECT,DELETE}', null)
        ) m (name, users, service)  -- null: whatever there is
        join pg_class c on c.oid = to_regclass('public.' || m.name)
        cross join lateral aclexplode(c.relacl) x
        left join pg_roles r on r.oid = x.grantee
        where case
            when x.grantee = 0 or r.rolname = 'anon' then true
            when r.rolname = 'authenticated' then x.privilege_type <> all (m.users)
            when r.rolname = 'service_role' then x.privilege_type <> all (m.service)
        end
    loop
        execute format('revoke %s on %s from %s', given.privilege, given.home, given.holder);
    end loop;
end
$$;
