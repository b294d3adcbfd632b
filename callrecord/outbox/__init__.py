"""The outbox: each call's events in a file on the local disk, until Postgres has them."""
