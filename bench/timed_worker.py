"""`python -m bench.timed_worker start`: the worker, with a timer around its recorder."""

import sys

import agent.server
from agent.__main__ import main
from bench.timed_job import entrypoint

agent.server.entrypoint = entrypoint  # type: ignore[attr-defined]

if __name__ == "__main__":
    sys.exit(main())
