"""The soak: calls in a loop under random kills, and a ledger outside the system to compare with."""
