"""The local LiveKit server."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from livekit import api, rtc

from local.errors import SettingsError
from local.livekit_binary import find_or_build
from local.livekit_server import LiveKitServer
from tests.unit.local.servers import (
    alive,
    descendants,
    name_of,
)
from tests.waiting import until

pytestmark = pytest.mark.room


@pytest_asyncio.fixture(loop_scope="session")
async def two(tmp_path: Path) -> AsyncIterator[tuple[LiveKitServer, LiveKitServer]]:
    """Two servers side by side."""
    servers = LiveKitServer(tmp_path / "one"), LiveKitServer(tmp_path / "two")
    try:
        for server in servers:
            await server.start()
        yield servers
    finally:
        for server in servers:
            await server.stop()


async def test_two_servers_run_side_by_side(two: tuple[LiveKitServer, LiveKitServer]) -> None:
    """Each has rooms and keys of its own, on the loopback only."""
    for number, server in enumerate(two):
        await _create_room(server, f"room-{number}")
        addresses = {
            connection.laddr.ip
            for connection in psutil.Process(server.child.pid).net_connections("inet")
        }
        assert addresses == {"127.0.0.1"}
    for number, server in enumerate(two):
        assert await _rooms(server) == [f"room-{number}"]
    with pytest.raises(api.TwirpError):
        await _rooms(two[0], two[1])


async def test_media_flows_over_the_loopback(two: tuple[LiveKitServer, LiveKitServer]) -> None:
    """Two people in a room hear each other, with no address but 127.0.0.1 to meet at."""
    server, _ = two
    speaker, listener = rtc.Room(), rtc.Room()
    heard = asyncio.Event()
    listener.on("track_subscribed", lambda *_: heard.set())
    source = rtc.AudioSource(48_000, 1)
    try:
        for room, identity in ((speaker, "speaker"), (listener, "listener")):
            grants = api.VideoGrants(room_join=True, room="media")
            token = api.AccessToken(server.api_key, server.api_secret).with_grants(grants)
            await room.connect(server.url, token.with_identity(identity).to_jwt())
        track = rtc.LocalAudioTrack.create_audio_track("voice", source)
        await speaker.local_participant.publish_track(track)
        await asyncio.wait_for(heard.wait(), 10)
    finally:
        await source.aclose()
        await listener.disconnect()
        await speaker.disconnect()


async def test_a_killed_server_comes_back_at_the_same_place(
    two: tuple[LiveKitServer, LiveKitServer],
) -> None:
    server, _ = two
    url = server.url
    await server.kill()
    await server.start()
    assert server.url == url
    assert await _rooms(server) == []


async def test_a_wrong_program_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIVEKIT_SERVER_BIN", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="LIVEKIT_SERVER_BIN"):
        await find_or_build(lambda _line: None)


async def test_a_named_program_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "livekit-server"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert await find_or_build(lambda _line: None) == program
    other = tmp_path / "other"
    other.touch(mode=0o755)
    monkeypatch.setenv("LIVEKIT_SERVER_BIN", str(other))
    assert await find_or_build(lambda _line: None) == other


async def test_a_cancelled_build_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C while Go compiles: no process and no file but the lock."""
    cache = tmp_path / "cache"
    monkeypatch.setattr("local.livekit_binary.CACHE", cache)
    monkeypatch.setenv("GOCACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("LIVEKIT_SERVER_BIN", raising=False)
    others = descendants(os.getpid())  # servers that other tests share
    build = asyncio.create_task(find_or_build(lambda _line: None))
    # A compiler below `go build`, which is below us.
    await until(lambda: [p for p in descendants(os.getpid()) if name_of(p) == "compile"])
    processes = [each for each in descendants(os.getpid()) if each not in others]
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert not alive(processes)
    assert [file.suffix for file in cache.iterdir()] == [".lock"]


async def _create_room(server: LiveKitServer, name: str) -> None:
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
        await client.room.create_room(api.CreateRoomRequest(name=name))


async def _rooms(server: LiveKitServer, keys: LiveKitServer | None = None) -> list[str]:
    keys = keys or server
    async with api.LiveKitAPI(server.url, keys.api_key, keys.api_secret) as client:
        answer = await client.room.list_rooms(api.ListRoomsRequest())
    return [room.name for room in answer.rooms]
