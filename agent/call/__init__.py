"""A call: its life, the people in it, and the agent that answers."""
