"""Shipping: brings what the outbox holds into Postgres, and ends the calls of lost workers."""
