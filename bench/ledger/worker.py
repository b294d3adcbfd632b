"""`python -m bench.ledger.worker start`: the worker with the persona of these calls."""

import sys

import agent.server
from agent.__main__ import main
from bench.ledger.job import entrypoint

agent.server.entrypoint = entrypoint  # type: ignore[attr-defined]

if __name__ == "__main__":
    sys.exit(main())
