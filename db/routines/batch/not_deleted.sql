-- Rows of a batch without those that were deleted while their call continued: neither their next
-- revision nor a leftover file restores them.
--
-- rows: legs or messages of a batch. Locks: none. Result: the rest, in the same order. Called by:
-- voice_worker.
create or replace function voice_worker.not_deleted(rows jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case when exists (select from voice_worker.deleted_rows) then (
        select coalesce(jsonb_agg(r order by place), '[]')
        from jsonb_array_elements(rows) with ordinality as e (r, place)
        where not exists (
            select from voice_worker.deleted_rows d where d.id = (r ->> 'id')::uuid
        )
    ) else rows end
$$;

revoke all on function voice_worker.not_deleted(jsonb) from public;
grant execute on function voice_worker.not_deleted(jsonb) to voice_worker;
