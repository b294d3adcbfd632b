"""From a call's events to rows in Postgres: outbox, shipper, store and operator's commands."""
