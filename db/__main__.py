"""`python -m db <command>`: the same commands as `python -m callrecord`."""

import sys

from callrecord.operator.main import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m db"))
