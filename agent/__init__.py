"""The worker: settings, logs, LiveKit's server, one call's life, and what is recorded of it."""
