"""Shipping: stores the outbox's events in Postgres, and ends the calls of lost workers."""
