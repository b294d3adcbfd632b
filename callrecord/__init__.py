"""Records the calls of LiveKit voice agents in your own Postgres, without losing any.

In an agent's entrypoint, before the session is started:

    from callrecord import record
    record(ctx, session)

LiveKit is imported only when `record`, `Recording`, `RecordingServer` or `uninstall` is used, so
the parts that talk to Postgres run without it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callrecord.recording.instrumentation.patches import uninstall
    from callrecord.recording.record import Recording, record
    from callrecord.recording.server import RecordingServer

__all__ = ["Recording", "RecordingServer", "record", "uninstall"]


def __getattr__(name: str) -> Any:
    if name in {"record", "Recording"}:
        from callrecord.recording import record as module

        return getattr(module, name)
    if name == "RecordingServer":
        from callrecord.recording.server import RecordingServer

        return RecordingServer
    if name == "uninstall":
        from callrecord.recording.instrumentation.patches import uninstall

        return uninstall
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
