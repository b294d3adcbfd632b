-- Describes the columns of call_participants, for users of a database client.
-- Locks: a table against VACUUM and index creation, not against readers or writers.
comment on column public.call_participants.kind is 'Kind of the LiveKit participant';
comment on column public.call_participants.direction is 'Of a phone: inbound or outbound';
comment on column public.call_participants.answered_at is 'Of a phone: when it was answered';
comment on column public.call_participants.closed_by_sweep is
    'left_at was set because the worker was lost; reopened if it comes back';
comment on column public.call_participants.revision is
    'Newest recorded version of this row; older ones change nothing';
