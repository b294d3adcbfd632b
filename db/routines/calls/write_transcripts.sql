-- Writes voice_calls.transcript of those of these calls that have ended: what was heard, one line per
-- turn. A transcript that another writer has changed stays: its md5 differs from transcript_digest.
--
-- calls: their ids. Locks: the rows of the calls whose transcript changes. Called by: voice_worker,
-- and triggers.
create or replace function voice_worker.write_transcripts(calls uuid[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    with written as materialized (
        select c.id, voice_worker.transcript_of(c.id) as text
        from public.voice_calls c
        where c.id = any (calls) and c.status in ('completed', 'failed')
            and md5(c.transcript) is not distinct from c.transcript_digest
    )
    update public.voice_calls v set
        transcript = w.text, transcript_digest = md5(w.text)
    from written w
    where v.id = w.id and v.transcript is distinct from w.text
$$;

revoke all on function voice_worker.write_transcripts(uuid[]) from public;
grant execute on function voice_worker.write_transcripts(uuid[]) to voice_worker;
