"""The sockets that start job processes: their paths must not exceed the system's limit."""

import sys
from multiprocessing.util import get_temp_dir
from typing import Any, Final

from livekit.agents import JobExecutorType

from callrecord.errors import Stop

_LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
"""The longest path of a Unix socket: sockaddr_un in man 7 unix, without the final NUL."""

_NAME: Final = "/listener-01234567"
"""What multiprocessing's forkserver adds to its directory."""


def check_temporary_directory(server_options: dict[str, Any]) -> None:
    """Check that job processes can be started with this TMPDIR.

    Without this check, LiveKit registers, accepts each job, and fails to start its process.

    Args:
        server_options: The options of the AgentServer.

    Raises:
        Stop: The path is too long.
    """
    default = "forkserver" if sys.platform == "linux" else "spawn"
    forks = server_options.get("multiprocessing_context", default) == "forkserver"
    if not forks or server_options.get("job_executor_type") is JobExecutorType.THREAD:
        return
    # It is below TMPDIR; a newer Python picks another directory if TMPDIR is too long.
    directory = get_temp_dir()
    too_long = len(directory) + len(_NAME) - _LONGEST_PATH
    if too_long > 0:
        raise Stop(
            f"TMPDIR={directory.rpartition('/')[0]} is {too_long} characters too long for the "
            "sockets of job processes: name a shorter directory"
        )
