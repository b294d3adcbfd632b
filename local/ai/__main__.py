"""``python -m local.ai --port P [--script FILE]``: serve until SIGTERM."""

import argparse
import logging
import sys
from pathlib import Path

from local.ai.server import serve
from local.errors import LocalError


def main() -> int:
    """Serve; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.ai", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument(
        "--script", type=Path, help="JSON file with the answers, used instead of the language model"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        serve(args.port, args.script)
    except LocalError as error:
        print(f"python -m local.ai: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
