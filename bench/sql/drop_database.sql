drop database NAME with (force)
