"""What is remembered of a call's newest entries: memory must not grow with a call's length."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping of its newest entries; the oldest is forgotten for a new one."""

    def __init__(self, kept: int, forgotten: Callable[[K, V], None] = lambda *_: None) -> None:
        """Keep so many entries.

        Args:
            kept: Entries that are kept.
            forgotten: Gets each entry that is forgotten, when it no longer is in here.
        """
        self._kept = kept
        self._forgotten = forgotten
        self._entries: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return an entry; None if there is none, or it was forgotten."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Set an entry, which is the newest now."""
        self._entries.pop(key, None)
        self._entries[key] = value
        while len(self._entries) > self._kept:
            oldest = next(iter(self._entries))
            self._forgotten(oldest, self._entries.pop(oldest))

    def pop(self, key: K) -> V | None:
        """Take an entry out and return it; None if there is none."""
        return self._entries.pop(key, None)

    def values(self) -> list[V]:
        """Return the entries, the oldest first."""
        return list(self._entries.values())

    def items(self) -> list[tuple[K, V]]:
        """Return keys and entries, the oldest first."""
        return list(self._entries.items())

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)
