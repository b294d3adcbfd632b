create or replace function public.bench_resum_tokens() returns trigger language plpgsql as $$
begin
    update public.voice_calls
    set total_tokens_used = (
        select sum(tokens_used) from public.voice_messages where call_id = new.call_id
    )
    where id = new.call_id;
    return new;
end
$$
