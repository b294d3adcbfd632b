"""Our worker as on macOS, where LiveKit starts each job's process anew, by `spawn`."""

import sys

from livekit.agents import AgentServer

from agent.__main__ import main

# Defaults of LiveKit's: the first by the platform, the second for a machine that does nothing else.
AgentServer.__init__.__kwdefaults__.update(  # type: ignore[union-attr]
    multiprocessing_context="spawn", initialize_process_timeout=60.0
)

if __name__ == "__main__":
    sys.exit(main())
