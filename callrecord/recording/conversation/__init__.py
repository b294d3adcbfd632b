"""The conversation: what is said, by whom, and what the agent's tools do."""
