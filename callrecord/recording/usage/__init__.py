"""Usage: every request to a model, however it ends, and the message that it was made for.

LiveKit's metrics report completed requests. For a cancelled one they report zeros; for one that
failed, or was cancelled before its first word, they report nothing. Here each attempt of each
stream of the job is a request.
"""
