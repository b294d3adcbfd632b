-- Who reads voice_worker.latency_totals. It is out of reach by name: only latency_statistics reads it
-- for users, and for a signed-in one who is no admin it is empty.
alter table voice_worker.latency_totals enable row level security;
drop policy if exists latency_totals_admin_select on voice_worker.latency_totals;
create policy latency_totals_admin_select on voice_worker.latency_totals for select to authenticated
    using ((select voice_access.is_admin()));
drop policy if exists latency_totals_reader_select on voice_worker.latency_totals;
create policy latency_totals_reader_select on voice_worker.latency_totals for select
    to voice_reader, service_role
    using (true);

grant select on voice_worker.latency_totals to authenticated, service_role, voice_reader;
