create trigger bench_resum_tokens_trigger
    after insert on public.voice_messages
    for each row execute function public.bench_resum_tokens()
