"""Legs: each stay of a participant in the room, from join to leave."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from livekit import rtc

from callrecord.events import Event, Leg, ParticipantType, new_id, now
from callrecord.recording.metadata import told
from callrecord.recording.room.participants import (
    direction_of,
    is_agent,
    is_answered,
    is_device,
    kind_of,
)

_LIVEKITS = "lk."
"""The prefix of LiveKit's own attributes."""


class Legs:
    """Records legs. LiveKit's events may be late, repeated, or sent before anything listens.

    Changes within a leg are written at most once a second: a participant may change its own
    attributes as fast as it likes.
    """

    def __init__(self, append: Callable[[Event], None]) -> None:
        self._append = append
        self._open: dict[str, Leg] = {}
        self._changes: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self._seen: set[str] = set()
        self._rate_limit = RateLimit(self._write)
        self._out_at: datetime | None = None

    def joined(self, participant: rtc.Participant) -> None:
        """Start a leg; a join reported twice (by an event and a listing) starts only one."""
        if participant.sid in self._seen or is_device(participant):
            return
        user_id, metadata = _identity(participant)
        at = now()
        leg = Leg(
            id=new_id(),
            identity=participant.identity,
            name=participant.name,
            participant_type=_type_of(participant),
            kind=kind_of(participant),
            sid=participant.sid,
            user_id=user_id,
            joined_at=at,
            is_muted=_is_muted(participant),
            direction=direction_of(participant),
            # A phone that was answered before it joined counts as answered when it joined.
            answered_at=at if is_answered(participant) else None,
            metadata=metadata,
        )
        self._seen.add(participant.sid)
        self._open[participant.sid] = leg
        self._append(leg)

    def left(self, participant: rtc.Participant) -> None:
        """End the participant's leg; start it first if its join was never reported."""
        self.joined(participant)
        leg = self._open.pop(participant.sid, None)
        if leg is None:
            return
        self._rate_limit.forget(participant.sid)
        reason = participant.disconnect_reason
        name = None if reason is None else rtc.DisconnectReason.Name(reason).lower()
        self._append(msgspec.structs.replace(leg, left_at=now(), disconnect_reason=name))

    @property
    def people(self) -> set[str]:
        """Identities of the people in the room."""
        return {leg.identity for leg in self._open.values() if leg.participant_type == "user"}

    def only_person(self) -> str | None:
        """Return the identity of the person in the room; None unless there is exactly one."""
        people = self.people
        return people.pop() if len(people) == 1 else None

    def track_changed(self, participant: rtc.Participant) -> None:
        """Record whether the participant's microphone is muted now."""
        self._change(participant, is_muted=_is_muted(participant))

    def named(self, participant: rtc.Participant) -> None:
        """Record a new name; the signed one is kept in the metadata."""
        if (leg := self._open.get(participant.sid)) is not None:
            self._changes[leg.sid].setdefault("name_at_join", leg.name)
            self._change(participant, name=participant.name)

    def metadata_changed(self, participant: rtc.Participant) -> None:
        """Record new metadata beside the signed one: the participant may have set it."""
        if participant.sid in self._open:
            value = told(participant.metadata)
            kept = participant.metadata if value is None else value
            self._changes[participant.sid]["metadata"] = kept
            self._change(participant)

    def attributes_changed(self, participant: rtc.Participant) -> None:
        """Record all new attributes, beside those at the join."""
        leg = self._open.get(participant.sid)
        if leg is None:
            return
        if leg.answered_at is None and is_answered(participant):
            leg = msgspec.structs.replace(leg, answered_at=now())
            self._open[leg.sid] = leg
            self._append(leg)
        changes = self._changes[leg.sid]
        before = changes.get("attributes", leg.metadata.get("attributes", {}))
        # LiveKit's own, such as the agent's state, change with every turn.
        if _without_own(participant.attributes) != _without_own(before):
            changes["attributes"] = participant.attributes
            self._change(participant)

    def disconnected(self) -> None:
        """Note that the agent has left the room: nothing is known about anybody after that."""
        self._out_at = self._out_at or now()

    def close(self, at: datetime, *, people_stay: bool = False) -> None:
        """End the legs that are still open: the call is over.

        They end with the call, or when the agent left the room if that was later: the agent may
        stay after its session has ended.

        Args:
            at: When the call ended.
            people_stay: Whether people may talk on without the agent: only agents' legs end then.
        """
        last = max(at, self._out_at or at)
        for sid, leg in self._open.items():
            self._rate_limit.forget(sid)
            if leg.participant_type == "agent" or not people_stay:
                self._append(msgspec.structs.replace(leg, left_at=max(last, leg.joined_at)))
        self._open.clear()

    def _change(self, participant: rtc.Participant, **columns: Any) -> None:
        old = self._open.get(participant.sid)
        if old is None:
            return
        if changes := self._changes[old.sid]:
            columns["metadata"] = old.metadata | {"changed": dict(changes)}
        new = msgspec.structs.replace(old, **columns)
        if new != old:
            self._open[new.sid] = new
            self._rate_limit.due(new.sid)

    def _write(self, sid: str) -> None:
        self._append(self._open[sid])


def _type_of(participant: rtc.Participant) -> ParticipantType:
    return "agent" if is_agent(participant) else "user"


def _is_muted(participant: rtc.Participant) -> bool:
    """Whether the participant's microphones are muted; False for one without a microphone."""
    microphones = [
        track.muted
        for track in participant.track_publications.values()
        if track.source == rtc.TrackSource.SOURCE_MICROPHONE
    ]
    return bool(microphones) and all(microphones)


def _without_own(attributes: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if not name.startswith(_LIVEKITS)}


def _identity(participant: rtc.Participant) -> tuple[UUID | None, dict[str, Any]]:
    """Return the user id of the signed token metadata, and the metadata that the leg keeps.

    An id that is not a UUID stays in the metadata; it is never an error. The id of a person who may
    change their own metadata stays there too, as they may have set it before the join was seen.
    """
    kept: dict[str, Any] = {}
    if participant.attributes:
        kept["attributes"] = dict(participant.attributes)
    value = told(participant.metadata)
    if value is None:
        return None, {"raw": participant.metadata} | kept
    # LiveKit's bridges (of phones, for example) have that permission too, but callers can't use it.
    if participant.permissions.can_update_metadata and kind_of(participant) == "standard":
        return None, value | kept
    user_id = value.pop("userId", None)
    try:
        return UUID(str(user_id)) if user_id else None, value | kept
    except ValueError:
        return None, value | kept | {"userId": user_id}


INTERVAL_S: Final = 1.0


class RateLimit:
    """Calls `write(key)` for each key that is due: at once, then at most once an interval.

    Needs a running event loop.
    """

    def __init__(self, write: Callable[[str], None], *, interval_s: float = INTERVAL_S) -> None:
        self._write = write
        self._interval_s = interval_s
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiting: set[str] = set()

    def due(self, key: str) -> None:
        """Write the key now, or at the end of its interval."""
        if key in self._timers:
            self._waiting.add(key)
            return
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(self._interval_s, self._interval_over, key)
        self._write(key)

    def forget(self, key: str) -> None:
        """Do not write the key again."""
        self._waiting.discard(key)
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    def _interval_over(self, key: str) -> None:
        del self._timers[key]
        if key in self._waiting:
            self._waiting.remove(key)
            self.due(key)
