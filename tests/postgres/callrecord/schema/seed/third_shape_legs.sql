-- Participants of that schema, without times of joining.
create table call_participants (
    id serial primary key, call_id uuid, user_id text, participant_name text, left_at timestamptz
);
insert into call_participants (call_id, user_id) select id, 'guest' from voice_calls;
