"""The local stack: LiveKit, Postgres and models on one machine, and callers to try them with."""
