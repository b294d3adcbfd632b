do $$
declare
    other record;
begin
    for other in
        select tgname, tgname = 'bench_resum_tokens_trigger' as summing
        from pg_trigger where tgrelid = 'public.voice_messages'::regclass and not tgisinternal
    loop
        execute format(
            'alter table public.voice_messages %s trigger %I',
            case current_setting('bench.triggers')
                when case when other.summing then 're-summing' else 'ours' end then 'enable'
                else 'disable'
            end,
            other.tgname
        );
    end loop;
end
$$
