"""Our worker as on macOS, where LiveKit starts each job's process anew, by `spawn`."""

import sys

from livekit.agents import AgentServer

from agent.__main__ import main

# A default of LiveKit's by the platform.
AgentServer.__init__.__kwdefaults__["multiprocessing_context"] = "spawn"  # type: ignore[index]

if __name__ == "__main__":
    sys.exit(main())
