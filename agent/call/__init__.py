"""A call: its life cycle, and the people in it."""
