"""Presence: who is in the room decides how and when a call ends."""

import asyncio
from datetime import datetime

import pytest
from livekit import rtc

from callrecord.events import now
from callrecord.recording.room.presence import Presence
from tests.unit.callrecord.recording.people import DISCONNECTED, leave, participant
from tests.waiting import until

Reason = rtc.DisconnectReason
GRACE_S = 0.05


class Ends:
    """Collects what the presence says about the call's end."""

    def __init__(self, *, grace_s: float = GRACE_S, no_caller_s: float = 60.0) -> None:
        self.told: list[tuple[str, datetime]] = []
        self.presence = Presence(
            grace_s=grace_s,
            no_caller_timeout_s=no_caller_s,
            on_end=lambda reason, at: self.told.append((reason, at)),
        )

    def reasons(self) -> list[str]:
        """Return the reasons alone."""
        return [reason for reason, _ in self.told]


async def test_nobody_comes() -> None:
    ends = Ends(no_caller_s=0.02)
    ends.presence.start()
    await until(ends.reasons, what="the end")
    assert ends.reasons() == ["no_caller"]


async def test_who_was_there_before_us_is_a_caller() -> None:
    ends = Ends(no_caller_s=0.0)
    ends.presence.joined(participant())
    ends.presence.start()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ends.reasons() == []


async def test_the_end_is_when_the_last_caller_left() -> None:
    ends, ada, bob = Ends(), participant("ada"), participant("bob")
    ends.presence.joined(ada)
    ends.presence.joined(bob)
    ends.presence.left(leave(ada))
    before = now()
    ends.presence.left(leave(bob))
    after = now()
    await until(ends.reasons, what="the end")
    ((reason, at),) = ends.told
    assert reason == "caller_hangup"
    assert before <= at <= after


async def test_a_rejoin_within_the_grace_goes_on() -> None:
    ends, first, second = Ends(), participant("ada"), participant("ada")
    ends.presence.joined(first)
    ends.presence.left(leave(first))
    ends.presence.joined(second)
    marker = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(2 * GRACE_S, marker.set_result, None)
    await marker
    assert ends.reasons() == []
    assert [each.sid for each in ends.presence.callers] == [second.sid]


async def test_a_rejoin_told_before_the_leave_goes_on() -> None:
    """Duplicate identity: the new stay may be told first."""
    ends, first, second = Ends(grace_s=0.0), participant("ada"), participant("ada")
    ends.presence.joined(first)
    ends.presence.joined(second)
    ends.presence.left(leave(first, Reason.DUPLICATE_IDENTITY))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ends.reasons() == []


async def test_agents_and_recorders_keep_no_call_going() -> None:
    ends, ada = Ends(), participant("ada")
    other = participant("bot", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
    ends.presence.joined(other)
    assert ends.presence.callers == []
    ends.presence.joined(ada)
    ends.presence.left(leave(ada))
    ends.presence.left(leave(other))
    await until(ends.reasons, what="the end")
    assert ends.reasons() == ["caller_hangup"]


@pytest.mark.parametrize("reason", [Reason.ROOM_DELETED, Reason.PARTICIPANT_REMOVED])
async def test_who_was_sent_out_does_not_come_back(
    reason: "rtc.DisconnectReason.ValueType",
) -> None:
    ends, ada = Ends(grace_s=60), participant()
    ends.presence.joined(ada)
    ends.presence.left(leave(ada, reason))
    assert ends.reasons() == ["room_closed"]
    ends.presence.stop()


@pytest.mark.parametrize(("reason", "ended"), DISCONNECTED.items())
async def test_the_agent_is_disconnected(reason: str, ended: str | None) -> None:
    ends = Ends()
    ends.presence.joined(participant())
    ends.presence.room_disconnected(Reason.Value(reason))
    assert ends.reasons() == ([] if ended is None else [ended])


async def test_a_room_closed_within_the_grace_ended_with_the_caller() -> None:
    ends, ada = Ends(grace_s=60), participant()
    ends.presence.joined(ada)
    ends.presence.left(leave(ada))
    ends.presence.room_disconnected(Reason.ROOM_DELETED)
    assert ends.reasons() == ["caller_hangup"]
    ends.presence.stop()


async def test_no_timer_outlives_the_call() -> None:
    ends, ada = Ends(), participant()
    ends.presence.start()
    ends.presence.joined(ada)
    ends.presence.left(leave(ada))
    ends.presence.stop()
    marker = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(2 * GRACE_S, marker.set_result, None)
    await marker
    assert ends.reasons() == []
