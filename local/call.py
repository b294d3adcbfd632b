"""`python -m local call`: one simulated call, or several at once, against any LiveKit server."""

import argparse
import asyncio
import json
import math
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from local.caller import Caller, CallerError, Server
from local.caller.voice import Voice
from local.calling import settings as caller_settings
from local.calling.console import CallReport, print_failure, print_turn, quiet_livekit
from local.calling.conversation import Conversation, HangUp, Line, Script
from local.calling.transcript import Turn
from local.errors import SettingsError

_DEFAULT_LINES = ("Hello, can you hear me?", "What can you do for me?")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to `python -m local`."""
    parser = subparsers.add_parser(
        "call",
        help="place a simulated call against LIVEKIT_URL",
        description="Place a simulated call and print the conversation as it happens.",
    )
    add = parser.add_argument
    add(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="KEY=value lines, which override the environment",
    )
    add(
        "--say",
        dest="lines",
        action="append",
        metavar="TEXT",
        help="a line that the caller says; repeatable",
    )
    add(
        "--wav",
        dest="lines",
        action="append",
        type=Path,
        metavar="FILE",
        help="a recording that the caller plays instead; repeatable",
    )
    add("--room", metavar="NAME", help="room to call (default: a new room)")
    add("--identity", metavar="NAME", help="identity of the caller (default: a new identity)")
    add("--metadata", type=_json, metavar="JSON", help="metadata of the caller's token")
    add("--room-metadata", type=_json, metavar="JSON", help="metadata of the new room")
    add(
        "--hang-up",
        type=HangUp,
        choices=list(HangUp),
        default=HangUp.END,
        help="when the caller leaves",
    )
    add(
        "--hang-up-after",
        type=_seconds,
        metavar="SECONDS",
        help="leave after this time, whatever happens",
    )
    add(
        "--interrupt",
        type=_seconds,
        metavar="AT_S",
        help="interrupt the agent with each next line, this many seconds into its reply",
    )
    add(
        "--rejoin",
        type=_seconds,
        metavar="AFTER_S",
        help="leave before the last line, and rejoin after this time",
    )
    add("--callers", type=_count, default=1, metavar="N", help="number of concurrent calls")
    add("--no-listen", action="store_true", help="do not transcribe the agent's speech")
    add("--json", action="store_true", help="print one JSON document at the end instead")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Place the calls and return the exit code: 1 if one of them failed, 130 on Ctrl-C.

    Raises:
        SettingsError: The environment, the --env-file or a sound file is invalid.
    """
    quiet_livekit()
    try:
        return asyncio.run(_run(args))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


async def _run(args: argparse.Namespace) -> int:
    env = caller_settings.environment(args.env_file)
    server = caller_settings.server(env)
    lines: Sequence[str | Path] = args.lines or _DEFAULT_LINES
    for path in (line for line in lines if isinstance(line, Path)):
        _check_readable(path)
    needs_voice = not args.no_listen or any(isinstance(line, str) for line in lines)
    voice = caller_settings.voice(env) if needs_voice else None
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        reports = await _place_calls(args, server, voice, _script(args, lines))
    finally:
        if voice is not None:
            await voice.aclose()
    if args.json:
        print(json.dumps({"calls": [report.as_dict() for report in reports]}, indent=2))
    return 1 if any(report.error for report in reports) else 0


async def _place_calls(
    args: argparse.Namespace, server: Server, voice: Voice | None, script: Script
) -> list[CallReport]:
    room = args.room or f"call-{uuid.uuid4().hex[:12]}"
    identity = args.identity or f"caller-{uuid.uuid4().hex[:8]}"
    console = Console(quiet=args.json)
    calls = []
    for number in range(1, args.callers + 1):
        suffix = f"-{number}" if args.callers > 1 else ""
        caller = Caller(
            server,
            room=f"{room}{suffix}",
            identity=f"{identity}{suffix}",
            metadata=args.metadata or "",
            voice=voice,
        )
        label = str(number) if args.callers > 1 else ""
        calls.append(_place_call(caller, script, console, label, args))
    return await asyncio.gather(*calls)


async def _place_call(
    caller: Caller, script: Script, console: Console, label: str, args: argparse.Namespace
) -> CallReport:
    report = CallReport(caller.room_name, caller.identity)

    def on_turn(turn: Turn) -> None:
        report.turns.append(turn)
        print_turn(console, turn, label)

    conversation = Conversation(
        caller,
        script,
        on_turn=on_turn,
        listen=not args.no_listen,
        room_metadata=args.room_metadata or "",
    )
    async with caller:
        try:
            await conversation.run()
        except CallerError as error:
            report.error = str(error)
            print_failure(error, label)
    return report


def _script(args: argparse.Namespace, lines: Sequence[str | Path]) -> Script:
    said = tuple(
        Line(line, over_s=args.interrupt if number > 0 else None)
        for number, line in enumerate(lines)
    )
    return Script(said, args.hang_up, args.hang_up_after, args.rejoin)


def _check_readable(path: Path) -> None:
    if not path.is_file():
        raise SettingsError(f"--wav {path}: there is no such file")


def _json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of calls: use 1 or more")
    return int(text)
