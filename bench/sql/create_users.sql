create table users (id uuid primary key, name varchar(255), email varchar(255), role varchar(50))
