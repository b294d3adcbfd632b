"""``python -m local up``: runs the local stack until Ctrl-C."""

import argparse
import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.errors import SettingsError
from local.stack import Stack, running_parts, to_stderr


def add_parser(subparsers: Any) -> None:
    """Add ``up`` to the commands of ``python -m local``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "up",
        help="start LiveKit, Postgres and the models; stop them at Ctrl-C",
        description="Start the local stack on free ports of 127.0.0.1, write its addresses to a "
        "file, print `ready`, and stop everything at Ctrl-C or SIGTERM.",
    )
    parser.add_argument(
        "--env-file",
        type=Path,
        required=True,
        help="file for the KEY=value lines; it exists while the stack runs",
    )
    parser.add_argument("--no-ai", action="store_true", help="do not start the models")
    parser.add_argument("--no-postgres", action="store_true", help="do not start Postgres")
    parser.add_argument("--no-livekit", action="store_true", help="do not start LiveKit")
    parser.add_argument(
        "--script", type=Path, help="JSON file with the answers, used instead of the language model"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the stack until a signal; return the exit code."""
    if not args.env_file.parent.is_dir() or args.env_file.is_dir():
        raise SettingsError(
            f"--env-file {args.env_file} cannot be written: set a file in an existing directory"
        )
    return asyncio.run(_until_signal(args))


async def _until_signal(args: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    stack = asyncio.create_task(_up(args))

    def stop() -> None:
        # A second signal changes nothing: a full stop takes only seconds.
        if not stack.cancelling():
            stack.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    await asyncio.wait([stack])
    if stack.cancelled():
        to_stderr("stopped")
        return 0
    stack.result()
    return 1


async def _up(args: argparse.Namespace) -> None:
    wanted = running_parts(
        ai=not args.no_ai,
        postgres=not args.no_postgres,
        livekit=not args.no_livekit,
        script=args.script,
    )
    async with wanted as parts:
        with _environment_file(args.env_file, parts.stack):
            print("ready", flush=True)
            raise await parts.failed()


@contextmanager
def _environment_file(path: Path, stack: Stack) -> Iterator[None]:
    """Keep the variables in a file for the duration of the block.

    Only the current user can read the file. It is written atomically: a reader sees all variables
    or none. If another stack has replaced the file meanwhile, it is not removed.
    """
    lines = "".join(f"{name}={value}\n" for name, value in stack.env().items())
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".env-", delete=False) as file:
        file.write(lines)
    os.replace(file.name, path)  # noqa: PTH105
    try:
        yield
    finally:
        if path.is_file() and path.read_text() == lines:
            path.unlink()
