-- Drops routines of earlier versions that are no longer used. Removing a file from this tree leaves its
-- routine in every database: add its name here, with "if exists", and keep it.
drop procedure if exists voice_worker.schema_reached(int, int);
drop function if exists voice_worker.end_call(uuid, jsonb);
drop function if exists voice_worker.close_ledger(uuid, jsonb);
drop function if exists voice_worker.price_usage(public.voice_usage, voice_worker.rates);
drop function if exists voice_worker.units_of(public.voice_usage);
drop function if exists voice_worker.recount_costs(uuid, int);
drop function if exists voice_worker.seconds_between(timestamptz, timestamptz);

-- Trigger functions of a database in which the enhanced schema was made by hand (012_adopt_enhanced.sql
-- has noted them): ours have taken their triggers over. Those that a team uses elsewhere stay.
do $$
declare
    replaced regprocedure;
begin
    if to_regclass('voice_before.functions') is null then
        return;
    end if;
    for replaced in
        select f.function::regprocedure from voice_before.functions f
        join pg_proc p on p.oid = f.function
        where not exists (select from pg_trigger t where t.tgfoid = f.function)
    loop
        execute format('drop function %s', replaced);
    end loop;
    drop table voice_before.functions;
    -- Whoever takes out the last thing takes the schema with it: this, or 102_bring_over.sql.
    if not exists (select from pg_class where relnamespace = 'voice_before'::regnamespace) then
        drop schema voice_before;
    end if;
end
$$;
