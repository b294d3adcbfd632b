do $$
declare
    statement text;
begin
    foreach statement in array current_setting('voice_worker.statements')::text[] loop
        execute statement;
    end loop;
end
$$
