
    -- Where they were applied, and how many there are now: in a restored dump some are missing, and
    -- "drop ... cascade" of something else takes some along.
    select
        (select system_identifier from pg_control_system()) || '/' || v.tableoid || '/'
        || (
            select count(*) from pg_proc
            where pronamespace in (
                select oid from pg_namespace where nspname in ('voice_worker', 'voice_access')
            ) or oid in (
                select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                where n.nspname = 'public' and p.proname in (
                    'call_statistics', 'usage_statistics', 'user_statistics', 'latency_statistics'
                )
            )
        ) || '/' || (
            select count(*) from pg_trigger t join pg_proc p on p.oid = t.tgfoid
            join pg_namespace n on n.oid = p.pronamespace
            where n.nspname = 'voice_worker' and not t.tgisinternal
        ) || '/' || (
            -- Also what they say: one that somebody has altered is made again.
            select md5(coalesce(string_agg(format(
                '%s %s %s %s %s', p.polname, p.polcmd, p.polroles, pg_get_expr(p.polqual, c.oid),
                pg_get_expr(p.polwithcheck, c.oid)
            ), ';' order by c.relname, p.polname), '')) from pg_policy p
            join pg_class c on c.oid = p.polrelid
            where p.polname ~ (
                '^' || c.relname || '_(select_own|insert_own|update_own|delete_own|select_all'
                || '|admin_all|worker_all|service_all|admin_select|reader_select)$'
            )
        ) || '/' || (
            select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind = 'v' and n.nspname in ('public', 'voice_worker') and c.relname in (
                'active_calls_summary', 'call_analytics', 'turn_costs', 'turn_latency',
                'table_sizes', 'index_usage'
            )
        ) || '/' || (
            select md5(string_agg(format('%s %s %s', c.relname, c.relrowsecurity, (
                select string_agg(x::text, ',' order by x::text) from unnest(c.relacl) x
            )), ';' order by c.relname)) from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'public' and c.relname in (
                'voice_calls', 'voice_messages', 'call_participants', 'voice_usage', 'model_prices'
            )
        )
