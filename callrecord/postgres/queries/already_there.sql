select count(*) from unnest($1::uuid[], $2::bigint[]) as r (id, revision)
where exists (select from voice_messages t where t.id = r.id and t.revision >= r.revision)
or exists (select from call_participants t where t.id = r.id and t.revision >= r.revision)
or exists (select from voice_usage t where t.id = r.id and t.revision >= r.revision)
