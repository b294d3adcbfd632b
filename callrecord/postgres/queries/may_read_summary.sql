select has_table_privilege('public.active_calls_summary', 'select')
