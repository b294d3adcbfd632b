"""The schema: makes it, brings it up to date, and looks for what endangers it."""
