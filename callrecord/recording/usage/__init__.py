"""Usage: every request to a model, however it ends, and the message that it was made for.

LiveKit's metrics report requests that came to their end. For one that was cut they report zeros,
for one that failed, or was cut before its first word, nothing. Here each attempt of each stream of
the job is a request.
"""
