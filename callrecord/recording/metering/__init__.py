"""Metering: every request to a language or speech model seen by itself, however it ends.

LiveKit's metrics tell of requests that came to their end. Of one that was cut they tell zeros, of
one that failed, or was cut before its first word, nothing. What is seen here is each attempt of
each stream of the job: by the one method that a plugin implements, and the channel it answers in.
"""
