"""``python -m local``: up, call, demo."""

import argparse
import sys

from local import up
from local.errors import LocalError


def main() -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up.add_parser(commands)
    # `call` and `demo` need LiveKit's client library; it is not loaded for `up`.
    if not (len(sys.argv) > 1 and sys.argv[1] == "up"):
        from local import call, demo

        call.add_parser(commands)
        demo.add_parser(commands)
    args = parser.parse_args()
    try:
        code: int = args.run(args)
    except LocalError as error:
        print(f"python -m local: {error}", file=sys.stderr)
        return error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main())
