"""`python -m callrecord <command>`: what an operator does with the database."""

import sys

from callrecord.operator.main import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m callrecord"))
