"""What can't be asked for rooms is no answer."""

import pytest

from callrecord.errors import Transient
from callrecord.recording.livekit_rooms import Rooms


@pytest.mark.parametrize("url", ["", "ws://127.0.0.1:1"])
async def test_a_server_that_is_not_there_is_transient(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("LIVEKIT_URL", url)
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "a-secret-that-is-long-enough-for-it")
    with pytest.raises(Transient):
        await Rooms().there(["room"])
    with pytest.raises(Transient):
        await Rooms().inside("room")
