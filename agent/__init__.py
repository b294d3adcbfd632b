"""The worker: settings, logging, the LiveKit server, one call's life, and what is recorded of it."""
