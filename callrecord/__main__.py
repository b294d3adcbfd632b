"""`python -m callrecord <command>`: the operator's commands."""

import sys

from callrecord.operator.main import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m callrecord"))
