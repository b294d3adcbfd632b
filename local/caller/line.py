"""The caller's connection to a room, from join to leave; it is not reused."""

import asyncio
from collections.abc import Callable
from typing import Final

from livekit import rtc
from livekit.rtc.participant import PublishTrackError

from local.caller.errors import CallerError
from local.caller.microphone import Microphone

_JOIN_S: Final = 15.0

Heard = Callable[[rtc.Track, rtc.RemoteParticipant], None]


class Line:
    """One stay in one room, with a live microphone.

    Attributes:
        room: LiveKit's view of the room.
        microphone: What is said goes in here.
        closed_because: Name of LiveKit's disconnect reason; None while connected.
    """

    def __init__(self, on_audio: Heard) -> None:
        self.room = rtc.Room()
        self.microphone = Microphone()
        self.closed_because: str | None = None
        self._on_audio = on_audio
        self._track = rtc.LocalAudioTrack.create_audio_track("microphone", self.microphone.source)
        self.room.on("track_subscribed", self._on_track)
        self.room.on("disconnected", self._on_disconnected)

    async def join(self, url: str, token: str) -> None:
        """Connect, publish the microphone and begin to feed it.

        Raises:
            CallerError: The server cannot be reached, refuses, or takes longer than 15 s.
        """
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        try:
            async with asyncio.timeout(_JOIN_S):
                await self.room.connect(url, token)
                await self.room.local_participant.publish_track(self._track, options)
        except (rtc.ConnectError, PublishTrackError, TimeoutError) as error:
            await self.leave()
            why = getattr(error, "message", "") or f"no answer in {_JOIN_S:.0f} s"
            raise CallerError(f"cannot enter the room at {url}: {why}") from error
        self.microphone.start()

    async def leave(self) -> None:
        """Disconnect as a caller does who hangs up; safe to call twice, or before join."""
        await self.microphone.aclose()
        await self.room.disconnect()

    async def unpublish(self) -> None:
        """Take the microphone out of the room."""
        await self.room.local_participant.unpublish_track(self._track.sid)

    def mute(self) -> None:
        """Mute the microphone; LiveKit notifies the others."""
        self._track.mute()

    def unmute(self) -> None:
        """Unmute the microphone."""
        self._track.unmute()

    def _on_track(
        self,
        track: rtc.Track,
        _publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._on_audio(track, participant)

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.closed_because = rtc.DisconnectReason.Name(reason)
