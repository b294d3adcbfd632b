"""``python -m local``: up, call, demo."""

import argparse
import importlib
import signal
import sys

from local.errors import LocalError

_COMMANDS = ("up", "call", "demo")


def main() -> int:
    """Run one command; return its exit code."""
    # Ctrl-C while modules load stops at once, without a traceback; commands set their own handler.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="LiveKit, Postgres and models on this machine, and simulated callers.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    chosen = sys.argv[1] if len(sys.argv) > 1 else ""
    # Load only the chosen command: a caller needs LiveKit's client library, `up` does not.
    for name in (chosen,) if chosen in _COMMANDS else _COMMANDS:
        importlib.import_module(f"local.{name}").add_parser(commands)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code: int = args.run(args)
    except LocalError as error:
        print(f"python -m local: {error}", file=sys.stderr)
        return error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main())
