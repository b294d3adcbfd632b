"""`python -m agent dev | start | console | ...`: LiveKit's own command line, for our worker.

`python -m agent check` is ours: it tries the whole set-up without taking calls.
"""

import asyncio
import importlib
import socket
import sys

from livekit.agents import cli

from agent import logs
from agent.check import check
from agent.check.livekit_project import count_rooms, project_of
from agent.persona import load_assistant
from agent.server import VoiceServer
from agent.settings import Settings, load, require_database, require_livekit, require_models
from callrecord.errors import Stop, Transient, VoiceError
from callrecord.outbox.directory import OutboxHome
from callrecord.postgres.store import check_schema
from callrecord.privacy import describe

_NEEDS_LIVEKIT = ("start", "dev", "connect")
_TAKES_CALLS = (*_NEEDS_LIVEKIT, "console")
_HELP = {"--help", "-h"}
_OURS = """
 In addition to LiveKit's commands below, `check` tries the whole set-up without taking calls.
 Settings come from the environment and .env; .env.example lists and explains them.
 The agent is agent/assistant.py; under `dev`, an edit applies from the next call on.
"""
START_TIMEOUT_S = 5.0


def main() -> int:
    """Run the command line; exit code 2 if the settings or the schema are not valid."""
    logs.configure()
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        settings = load()
        logs.configure(settings)
        if command == "check":
            return check.run(settings)
        if command in {"", *_HELP}:
            print(_OURS)  # noqa: T201 - LiveKit's help follows
        elif not _HELP.intersection(sys.argv):
            _check(settings, command)
        if command == "dev" and "--reload" not in sys.argv:
            sys.argv.append("--no-reload")  # no warning about a missing reload: we have our own
        server = VoiceServer(settings)
    except VoiceError as error:
        print(f"agent: {error}", file=sys.stderr)  # noqa: T201 - one line for a person
        return 2
    try:
        cli.run_app(server)
    except SystemExit as end:
        if server.failed and not end.code:
            return 1
        raise
    return 0


def _check(settings: Settings, command: str) -> None:
    if command in _NEEDS_LIVEKIT:
        require_livekit(settings, sys.argv)
    if command not in _TAKES_CALLS:
        return
    require_models(settings)
    if command == "console":
        _check_sound()
    _check_persona()
    if command != "dev" or "agent_http_port" in settings.model_fields_set:
        _check_port(settings.agent_http_port)
    OutboxHome(settings.agent_outbox_dir)
    require_database(settings)
    for note in asyncio.run(_ask_servers(settings, needs_livekit=command in _NEEDS_LIVEKIT)):
        _note(note)


async def _ask_servers(settings: Settings, *, needs_livekit: bool) -> list[str]:
    """Return a note for each server that can't be reached: the worker starts all the same."""
    checks = [_postgres(settings)]
    if needs_livekit:
        checks.append(_livekit(settings))
    return [note for note in await asyncio.gather(*checks) if note]


async def _postgres(settings: Settings) -> str:
    try:
        await asyncio.wait_for(check_schema(require_database(settings)), START_TIMEOUT_S)
    except (Transient, TimeoutError) as error:
        why = str(error) or "no answer"
        return f"database away (DATABASE_URL: {why}): calls are taken, events wait on disk"
    return ""


async def _livekit(settings: Settings) -> str:
    try:
        await count_rooms(project_of(settings, sys.argv), timeout_s=START_TIMEOUT_S)
    except Transient as error:
        return f"LiveKit is away ({error}): it is tried again"
    return ""


def _check_persona() -> None:
    try:
        load_assistant()
    except Exception as error:
        raise Stop(f"agent/assistant.py can't be loaded: {describe(error)}") from error


def _check_port(port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
    except OSError as error:
        text = f"AGENT_HTTP_PORT={port} can't be had ({error.strerror}): 0 takes a free one"
        raise Stop(text) from error


def _check_sound() -> None:
    try:
        importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:
        text = f"the console needs PortAudio, with --text too ({error}): install libportaudio2"
        raise Stop(text) from error


def _note(text: str) -> None:
    print(f"agent: {text}", file=sys.stderr)  # noqa: T201 - before logging is set up


if __name__ == "__main__":
    sys.exit(main())
