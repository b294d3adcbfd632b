"""Faults of the list that need real rooms: each caller keeps a ledger of what it said and heard."""
