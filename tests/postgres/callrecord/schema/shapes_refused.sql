-- Shapes of the basic schema that cannot come over, each a paragraph, with what is said of it.

-- voice_calls.id is integer, and '1' is no uuid: give each call a uuid, in all tables
alter table voice_calls drop constraint voice_calls_pkey cascade, drop column id, add id serial
    primary key;

-- voice_calls.id is character varying, and 'call-1' is no uuid
alter table call_participants drop constraint call_participants_call_id_fkey;
alter table voice_calls alter id drop default, alter id type varchar;
alter table call_participants alter call_id type text;
update voice_calls set id = 'call-1' where id = (select min(id) from voice_calls);

-- voice_calls has no column id
alter table voice_calls drop column id cascade;

-- call_participants has no column call_id, which is to say which call it is
alter table call_participants drop column call_id;

-- 24 row(s) of call_participants have a call_id that is null or of no call: delete them
alter table call_participants drop constraint call_participants_call_id_fkey;
update call_participants set call_id = gen_random_uuid() where user_id = 'agent';

-- voice_calls.ended_at is bigint, which is no time: alter table voice_calls alter ended_at
alter table voice_calls alter ended_at type bigint using 1;

-- voice_calls is no plain table: make it one
alter table voice_calls rename to calls;
create view voice_calls as select * from calls;

-- foreign key of_room of invoices cannot refer to the new voice_calls (id uuid): have it
alter table voice_calls add unique (room_name, id);
create table invoices (room varchar, call uuid, constraint of_room foreign key (room, call)
    references voice_calls (room_name, id));

-- public.voice_usage is there, of a name that is needed: rename it
create table voice_usage (id int);

-- type public.call_status has not the values pending, active, completed, failed: alter type
create type call_status as enum ('ringing');

-- public.users has no role: it needs id
alter table users drop column role;

-- public.users.id is no uuid, or not its key: calls could not refer to it
alter table users drop constraint users_pkey;

-- voice_calls is neither of the basic schema nor of the enhanced one, it lacks user_id
alter table voice_calls rename caller_id to who;
