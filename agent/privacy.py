"""What no log line may show: the library's rules, for our own worker's lines and LiveKit's.

A filter on every handler, in the worker and in each job's process.
"""

from callrecord.db.privacy import Private, describe, hide

__all__ = ["Private", "describe", "hide"]
