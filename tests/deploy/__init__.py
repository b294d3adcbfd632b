"""The container, and what is said of running it."""
