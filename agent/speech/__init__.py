"""Phrases that the agent says without the language model, rendered ahead."""
