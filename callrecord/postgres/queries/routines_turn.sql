select pg_advisory_xact_lock(hashtext('voice_worker'), hashtext('routines'))
