"""From a call's events to rows in Postgres: events, outbox, shipper, store and the operator's commands."""
