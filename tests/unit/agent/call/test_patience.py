"""Patience: who is in the room decides how and when our own worker ends a call."""

import asyncio

import pytest
from livekit import rtc

from agent.call.patience import Patience
from callrecord.events import now
from callrecord.recording.room.ending import End
from callrecord.recording.room.people import Leave
from tests.unit.callrecord.recording.people import leave, participant
from tests.unit.callrecord.recording.room.scene import Scene
from tests.waiting import until

Reason = rtc.DisconnectReason
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
GRACE_S = 0.05


class Ends(Scene):
    """Collects how the call ended once nobody is waited for."""

    def __init__(self, *, grace_s: float = GRACE_S, no_caller_s: float = 60.0) -> None:
        super().__init__()
        self.told: list[End] = []
        self.patience = Patience(
            self.people, grace_s=grace_s, no_caller_timeout_s=no_caller_s, over=self._over
        )

    def joined(self, participant: rtc.RemoteParticipant) -> bool:
        """Count somebody in."""
        is_new = super().joined(participant)
        if is_new:
            self.patience.joined()
        return is_new

    def left(self, participant: rtc.RemoteParticipant) -> Leave | None:
        """Count somebody out."""
        leave = super().left(participant)
        if leave is not None:
            self.patience.left(leave)
        return leave

    def reasons(self) -> list[str]:
        """Return the reasons alone."""
        return [end.reason for end in self.told]

    def _over(self) -> None:
        self.told.append(self.ending.seen() or End("no_caller", now()))


async def test_nobody_comes() -> None:
    ends = Ends(no_caller_s=0.02)
    ends.patience.start()
    await until(ends.reasons, what="the end")
    assert ends.reasons() == ["no_caller"]


async def test_who_was_there_before_us_is_a_caller() -> None:
    ends = Ends(no_caller_s=0.0)
    ends.joined(participant())
    ends.patience.start()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ends.reasons() == []


async def test_the_end_is_when_the_last_caller_left() -> None:
    ends, ada, bob = Ends(), participant("ada"), participant("bob")
    ends.joined(ada)
    ends.joined(bob)
    ends.left(leave(ada))
    before = now()
    ends.left(leave(bob))
    after = now()
    await until(ends.reasons, what="the end")
    (end,) = ends.told
    assert end.reason == "caller_hangup"
    assert before <= end.at <= after


async def test_a_rejoin_within_the_grace_goes_on() -> None:
    ends, first, second = Ends(), participant("ada"), participant("ada")
    ends.joined(first)
    ends.left(leave(first))
    ends.joined(second)
    marker = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(2 * GRACE_S, marker.set_result, None)
    await marker
    assert ends.reasons() == []
    assert [each.sid for each in ends.people.here] == [second.sid]


async def test_a_rejoin_told_before_the_leave_goes_on() -> None:
    """Duplicate identity: the new stay may be told first."""
    ends, first, second = Ends(grace_s=0.0), participant("ada"), participant("ada")
    ends.joined(first)
    ends.joined(second)
    ends.left(leave(first, Reason.DUPLICATE_IDENTITY))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ends.reasons() == []


async def test_agents_and_recorders_keep_no_call_going() -> None:
    ends, ada = Ends(), participant("ada")
    other = participant("bot", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
    ends.joined(other)
    assert ends.people.here == []
    ends.joined(ada)
    ends.left(leave(ada))
    ends.left(leave(other))
    await until(ends.reasons, what="the end")
    assert ends.reasons() == ["caller_hangup"]


@pytest.mark.parametrize("reason", [Reason.ROOM_DELETED, Reason.PARTICIPANT_REMOVED])
async def test_who_was_sent_out_does_not_come_back(
    reason: "rtc.DisconnectReason.ValueType",
) -> None:
    ends, ada = Ends(grace_s=60), participant()
    ends.joined(ada)
    ends.left(leave(ada, reason))
    await until(ends.reasons, what="the end")
    assert ends.reasons() == ["room_closed"]


async def test_nobody_is_missed_while_a_phone_rings() -> None:
    """Its own provider says how long it may ring; and a second one may still answer."""
    ends = Ends(grace_s=0.0, no_caller_s=0.0)
    first, second = (
        participant(each, kind=SIP, attributes={"sip.callStatus": "ringing"})
        for each in ("sip_1", "sip_2")
    )
    ends.joined(first)
    ends.patience.start()
    ends.joined(second)
    ends.left(leave(first))
    for _ in range(3):
        await asyncio.sleep(0)
    assert ends.reasons() == []
    ends.left(leave(second))
    await until(ends.reasons, what="the end")
    assert ends.reasons() == ["no_answer"]


async def test_no_timer_outlives_the_call() -> None:
    ends, ada = Ends(), participant()
    ends.patience.start()
    ends.joined(ada)
    ends.left(leave(ada))
    ends.patience.stop()
    marker = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(2 * GRACE_S, marker.set_result, None)
    await marker
    assert ends.reasons() == []
