"""Acts on a room without a session, as the session may be what has failed."""

import asyncio

import structlog
from livekit import rtc
from livekit.agents import JobContext

from agent.speech.speech_cache import in_pieces

logger = structlog.get_logger("voice.announce")

ANNOUNCEMENT_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 5.0

_QUEUE_MS = 200


async def announce(room: rtc.Room, audio: rtc.AudioFrame) -> None:
    """Play audio to everybody in the room, to its end.

    Raises:
        PublishTrackError: The room rejects the track.
        TimeoutError: The audio did not end in time, or nobody listens.
    """
    source = rtc.AudioSource(audio.sample_rate, audio.num_channels, queue_size_ms=_QUEUE_MS)
    track = rtc.LocalAudioTrack.create_audio_track("announcement", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    try:
        async with asyncio.timeout(ANNOUNCEMENT_TIMEOUT_S):
            publication = await room.local_participant.publish_track(track, options)
            await publication.wait_for_subscription()
            for piece in in_pieces(audio):
                await source.capture_frame(piece)
            await source.wait_for_playout()
    finally:
        await source.aclose()


async def close_room(ctx: JobContext) -> None:
    """Delete the room: if the agent only left, a phone caller would stay on a silent line."""
    try:
        await asyncio.wait_for(ctx.delete_room(), CLOSE_TIMEOUT_S)
    except TimeoutError:
        logger.warning("room not closed in time")
