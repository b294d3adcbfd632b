-- Revokes unintended rights to our whole tables that default privileges have granted: Supabase grants
-- rights on every new table in public to anon, authenticated and service_role. Runs before all grants.
--
-- TRUNCATE is never granted on the tables of calls: it fires no row triggers and leaves no tombstones.
-- Nor is TRIGGER: a trigger created by service_role would run with the rights of the next writer.
-- Rights to single columns stay, because a team may grant its own. (Revoking a right to a whole table
-- also revokes it for single columns; ours are granted again.)
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
