"""`python -m local demo`: runs the stack, a worker and one call, and prints the recorded rows."""

import argparse
import asyncio
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
from rich.console import Console

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.calling.console import print_turn, quiet_livekit
from local.calling.conversation import Conversation, Line, Script
from local.calling.transcript import Turn, Who
from local.demo.failure import KeptLogs
from local.demo.front_end import place_call
from local.demo.pulse import Pulse
from local.demo.rows import Rows, read_rows
from local.demo.tables import draw
from local.demo.worker import migrate, stopped, worker
from local.errors import LocalError, SettingsError
from local.places import run_directory
from local.procs import Child
from local.sql import sql
from local.stack import Stack, running

SCRIPT: Final = Script(
    lines=(
        Line("Hello! What is the capital of France?"),
        Line("Please tell me a long story about the sea."),
        Line("Thank you, that is enough for today. Goodbye!", over_s=1.2),
    )
)
_TERMINAL: Final = ("completed", "failed")
_TERMINAL_S: Final = 30.0
_TICK_S: Final = 0.1
_INTERRUPTED: Final = 130


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to `python -m local`."""
    parser = subparsers.add_parser(
        "demo",
        help="start everything, hold a conversation, and show its rows in Postgres",
        description="Start the local stack and a worker, hold a conversation, and show its rows.",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the rows to this file"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 only if Postgres has the whole conversation."""
    if args.json is not None and (not args.json.parent.is_dir() or args.json.is_dir()):
        raise SettingsError(
            f"--json {args.json} cannot be written: set a file in an existing directory"
        )
    quiet_livekit()
    return asyncio.run(_until_signal(args.json))


async def _until_signal(json_file: Path | None) -> int:
    demo = asyncio.create_task(_demo(json_file, Console()))
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop() -> None:
        # Only once: a second Ctrl-C must not interrupt the stop, which takes only seconds.
        if not demo.cancelling():
            demo.cancel()

    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.wait([demo])
    if demo.cancelled():
        print("stopped", file=sys.stderr)
        return _INTERRUPTED
    return demo.result()


async def _demo(json_file: Path | None, console: Console) -> int:
    pulse, logs = Pulse(console), KeptLogs()
    try:
        await _hold_call(json_file, console, pulse, logs)
    except LocalError as error:
        print(f"python -m local: {error}\n{logs.summary()}".rstrip(), file=sys.stderr)
        return error.exit_code
    pulse.progress("done")
    return 0


async def _hold_call(
    json_file: Path | None, console: Console, pulse: Pulse, logs: KeptLogs
) -> None:
    progress = pulse.progress
    with run_directory(logs.keep) as directory:
        wanted = running(progress=progress, on_failure=logs.keep)
        async with wanted as stack, pulse.beating():
            progress("migrations: applying")
            await migrate(stack, directory)
            progress("worker: starting")
            async with worker(stack, directory) as process:
                progress("worker: registered, calling")
                rows = await _call(stack, process, console, pulse)
            progress("worker: gone; stopping the stack")
            draw(rows, console)
            if json_file is not None:
                await asyncio.to_thread(json_file.write_text, rows.as_json(), encoding="utf-8")
            if missing := rows.missing():
                raise _GapsError("the call is not fully recorded: " + "; ".join(missing))


async def _call(stack: Stack, process: Child, console: Console, pulse: Pulse) -> Rows:
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret)
    connection = await asyncpg.connect(stack.database_url)
    try:
        async with Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice:
            placed = await place_call(connection, server, voice)
            await _converse(placed.caller, console, pulse)
        pulse.progress("caller: hung up, waiting for the end of the call in Postgres")
        await _ended(connection, placed.call_id)
        pulse.progress("worker: stopping")
        await stopped(process)
        return await read_rows(connection, placed.call_id)
    finally:
        await connection.close()


async def _converse(caller: Caller, console: Console, pulse: Pulse) -> None:
    def print_and_note(turn: Turn) -> None:
        after = "caller: listening" if turn.who is Who.CALLER else "caller: speaking"
        pulse.say(partial(print_turn, console, turn), after)

    async with caller:
        await Conversation(caller, SCRIPT, on_turn=print_and_note, create_room=False).run()


async def _ended(connection: asyncpg.Connection, call_id: UUID) -> None:
    deadline = time.monotonic() + _TERMINAL_S
    while (status := await connection.fetchval(sql("demo_status"), call_id)) not in _TERMINAL:
        if time.monotonic() > deadline:
            raise _NotEndedError(f"the call is still {status} after {_TERMINAL_S:.0f} s")
        await asyncio.sleep(_TICK_S)


class _NotEndedError(LocalError):
    """The call's row did not reach its end in time."""


class _GapsError(LocalError):
    """Postgres does not have the whole conversation."""
