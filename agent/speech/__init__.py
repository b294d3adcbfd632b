"""Fixed phrases that the agent says without the language model; most are rendered ahead."""
