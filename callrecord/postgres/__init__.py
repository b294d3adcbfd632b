"""What a worker says to Postgres: connections, batches of events, and the workers' own rows."""
