-- What teams may have done to the basic schema. Each paragraph is one change, which may not fit
-- what another has left: shapes.py takes some of them.

alter table voice_calls drop column callee_id;

alter table voice_calls drop column call_type;

alter table voice_calls drop column connected_at;

alter table voice_calls drop column started_at;

alter table voice_calls drop column ended_at;

alter table voice_calls drop column created_at;

alter table voice_calls drop column duration_seconds;

alter table voice_calls drop column recording_url;

alter table voice_calls drop column transcript;

alter table voice_calls drop column metadata;

alter table voice_calls drop column room_name;

alter table voice_calls drop column status;

alter table call_participants drop column id;

alter table call_participants drop column user_id;

alter table call_participants drop column participant_name;

alter table call_participants drop column joined_at;

alter table call_participants drop column left_at;

alter table call_participants drop column duration_seconds;

alter table call_participants drop column is_muted;

alter table call_participants drop column call_id;

drop table call_participants;

alter table voice_calls alter started_at drop default, alter started_at type timestamp using
    started_at::timestamp;

alter table voice_calls alter started_at drop default, alter started_at type text using
    started_at::text;

alter table voice_calls alter started_at drop default, alter started_at type date using
    started_at::date;

alter table voice_calls alter ended_at drop default, alter ended_at type timestamp using
    ended_at::timestamp;

alter table voice_calls alter ended_at drop default, alter ended_at type text using
    ended_at::text;

alter table voice_calls alter ended_at drop default, alter ended_at type date using
    ended_at::date;

alter table voice_calls alter created_at drop default, alter created_at type timestamp using
    created_at::timestamp;

alter table voice_calls alter created_at drop default, alter created_at type text using
    created_at::text;

alter table voice_calls alter created_at drop default, alter created_at type date using
    created_at::date;

alter table call_participants alter joined_at drop default, alter joined_at type timestamp using
    joined_at::timestamp;

alter table call_participants alter joined_at drop default, alter joined_at type text using
    joined_at::text;

alter table call_participants alter joined_at drop default, alter joined_at type date using
    joined_at::date;

alter table call_participants alter left_at drop default, alter left_at type timestamp using
    left_at::timestamp;

alter table call_participants alter left_at drop default, alter left_at type text using
    left_at::text;

alter table call_participants alter left_at drop default, alter left_at type date using
    left_at::date;

alter table voice_calls alter started_at drop default, alter started_at type bigint using
    extract(epoch from started_at)::bigint;

alter table voice_calls alter metadata drop default, alter metadata type json;

alter table voice_calls alter metadata drop default, alter metadata type text;

alter table voice_calls alter duration_seconds type text;

alter table voice_calls alter duration_seconds type numeric(9, 2);

alter table voice_calls alter duration_seconds type interval using make_interval(secs =>
    duration_seconds);

alter table call_participants alter is_muted drop default, alter is_muted type text;

alter table call_participants alter duration_seconds type text;

alter table call_participants alter id drop default, alter id type text using 'leg-' || id;

alter table voice_calls alter transcript type jsonb using to_jsonb(transcript);

alter table call_participants drop constraint call_participants_call_id_fkey;
alter table voice_calls alter id drop default, alter id type varchar;
alter table call_participants alter call_id type text;

alter table call_participants drop constraint call_participants_call_id_fkey;
alter table voice_calls alter id drop default, alter id type varchar;
alter table call_participants alter call_id type text;
update voice_calls set id = upper('{' || id || '}');

alter table call_participants drop constraint call_participants_call_id_fkey;
alter table voice_calls alter id drop default, alter id type varchar;
alter table call_participants alter call_id type text;
update voice_calls set id = 'call-1' where id = (select min(id) from voice_calls);

alter table voice_calls drop constraint voice_calls_status_check;
create type said as enum ('pending', 'ringing', 'connected', 'completed', 'missed', 'failed',
    'Weird');
alter table voice_calls alter status drop default, alter status type said using status::said;

create type call_status as enum ('ringing', 'connected');

alter table voice_calls add tenant text default 'acme', add extra jsonb default '{"a": null}';

alter table voice_calls add basic_status text default 'theirs', add session_id text default 's';

alter table voice_calls add "Odd ""name" int default 7, add basic_columns int default 8;

alter table voice_calls add raw json default '"\u0000"';

alter table voice_calls add parent uuid references voice_calls (id);

alter table call_participants add metadata jsonb default '{"basic_id": "theirs"}';

alter table call_participants add participant_identity text default 'someone', add basic_id text
    default 'x';

alter table voice_calls drop constraint voice_calls_status_check;
update voice_calls set status = 'in-progress' where abs(hashtext(id::text)) % 3 = 0;

alter table voice_calls drop constraint voice_calls_status_check;
update voice_calls set status = ' Active ' where abs(hashtext(id::text)) % 3 = 0;

alter table voice_calls drop constraint voice_calls_status_check;
update voice_calls set status = 'ended' where abs(hashtext(id::text)) % 3 = 0;

alter table voice_calls drop constraint voice_calls_status_check;
update voice_calls set status = 'error' where abs(hashtext(id::text)) % 3 = 0;

alter table voice_calls drop constraint voice_calls_status_check;
update voice_calls set status = 'gone fishing' where abs(hashtext(id::text)) % 3 = 0;

alter table voice_calls alter status drop not null;
update voice_calls set status = null where abs(hashtext(id::text)) % 3 = 0;

alter table voice_calls alter room_name drop not null;
update voice_calls set room_name = null where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set room_name = repeat('long', 90) where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set room_name = 'support@' || (select min(id::text) from voice_calls) where
    id = (select max(id::text) from voice_calls)::uuid;

alter table voice_calls alter caller_id drop not null;
update voice_calls set caller_id = null where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set started_at = 'infinity' where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set ended_at = '-infinity', created_at = '20000-01-01' where
    abs(hashtext(id::text)) % 3 = 0;

update voice_calls set connected_at = '0044-03-15 BC' where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set connected_at = now() + interval '9 years', ended_at = null where
    abs(hashtext(id::text)) % 3 = 0;

update voice_calls set ended_at = 'yesterday, I think' where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set started_at = '2026-02-03T04:05:06Z' where abs(hashtext(id::text)) % 3 =
    0;

update voice_calls set metadata = '{"basic_schema": 1, "basic_status": 2}' where
    abs(hashtext(id::text)) % 3 = 0;

update voice_calls set metadata = '"\u0000"' where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set metadata = 'no json' where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set metadata = 'null' where abs(hashtext(id::text)) % 3 = 0;

update voice_calls set duration_seconds = -5 where abs(hashtext(id::text)) % 3 = 0;

alter table voice_calls drop constraint voice_calls_pkey cascade;
insert into voice_calls select * from voice_calls limit 3;

alter table voice_calls drop constraint voice_calls_pkey cascade;
alter table voice_calls alter id drop not null;
insert into voice_calls (room_name, caller_id) values ('x', 'y'), ('x', 'y');
update voice_calls set id = null where room_name = 'x';

alter table call_participants drop constraint call_participants_pkey;
insert into call_participants select * from call_participants limit 2;

update call_participants set joined_at = 'infinity', left_at = '-infinity' where
    abs(hashtext(id::text)) % 3 = 0;

update call_participants set user_id = '', participant_name = repeat('n', 400) where
    abs(hashtext(id::text)) % 3 = 0;

update call_participants set is_muted = 'perhaps' where abs(hashtext(id::text)) % 3 = 0;

alter table call_participants alter call_id drop not null;
update call_participants set call_id = null where user_id = 'agent';

alter table call_participants drop constraint call_participants_call_id_fkey;
update call_participants set call_id = gen_random_uuid() where user_id = 'agent';

create table voice_messages (id int);

create view call_analytics as select 1 as one;

alter table users drop column role;

alter table voice_calls enable row level security, force row level security;

create table invoices (call_id uuid references voice_calls (id) on delete cascade);
insert into invoices select id from voice_calls limit 5;

create view long_calls as select * from voice_calls;
