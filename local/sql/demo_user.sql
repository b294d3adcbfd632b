insert into public.users (id, name, email, role) values ($1, $2, $3, 'user')
