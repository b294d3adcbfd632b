"""The room: who joins and leaves, and how the call ends."""
