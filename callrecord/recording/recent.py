"""A bounded mapping: memory must not grow with the length of a call."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that keeps the newest entries and drops the oldest."""

    def __init__(self, kept: int, forgotten: Callable[[K, V], None] = lambda *_: None) -> None:
        """Make an empty mapping.

        Args:
            kept: The number of entries to keep.
            forgotten: Called with each dropped entry, after it was removed.
        """
        self._kept = kept
        self._forgotten = forgotten
        self._entries: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return an entry; None if there is none, or it was dropped."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Set an entry and make it the newest."""
        self._entries.pop(key, None)
        self._entries[key] = value
        while len(self._entries) > self._kept:
            oldest = next(iter(self._entries))
            self._forgotten(oldest, self._entries.pop(oldest))

    def pop(self, key: K) -> V | None:
        """Remove an entry and return it; None if there is none."""
        return self._entries.pop(key, None)

    def values(self) -> list[V]:
        """Return the values, oldest first."""
        return list(self._entries.values())

    def items(self) -> list[tuple[K, V]]:
        """Return keys and values, oldest first."""
        return list(self._entries.items())

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)
