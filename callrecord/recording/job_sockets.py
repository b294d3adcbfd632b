"""The sockets by which job processes are started: their paths must fit into what systems allow."""

import sys
from multiprocessing.util import get_temp_dir
from typing import Any, Final

from livekit.agents import JobExecutorType

from callrecord.errors import Stop

_LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
"""Characters of a Unix socket's path: sockaddr_un of man 7 unix, less the NUL at its end."""

_NAME: Final = "/listener-01234567"
"""What multiprocessing's forkserver adds to its directory."""


def check_temporary_directory(server_options: dict[str, Any]) -> None:
    """Check that job processes can be started with this TMPDIR.

    LiveKit itself would register, accept each job, and fail to start its process.

    Args:
        server_options: What the AgentServer was made with.

    Raises:
        Stop: The path is too long.
    """
    default = "forkserver" if sys.platform == "linux" else "spawn"
    forks = server_options.get("multiprocessing_context", default) == "forkserver"
    if not forks or server_options.get("job_executor_type") is JobExecutorType.THREAD:
        return
    # Below TMPDIR; a newer Python takes another directory where that is too long.
    directory = get_temp_dir()
    too_long = len(directory) + len(_NAME) - _LONGEST_PATH
    if too_long > 0:
        raise Stop(
            f"TMPDIR={directory.rpartition('/')[0]} is {too_long} characters too long for the "
            "sockets of job processes: name a shorter directory"
        )
