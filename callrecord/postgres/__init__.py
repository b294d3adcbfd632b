"""The worker's access to Postgres: connections, batches of events, and the workers' own rows."""
