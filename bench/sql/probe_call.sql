insert into voice_calls (session_id, room_name) values ($1, 'Support Call') returning id
