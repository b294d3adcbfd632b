"""A worker whose job processes could not be started says so at its start."""

from pathlib import Path

import pytest
from livekit.agents import JobExecutorType

import callrecord.recording.job_sockets as checked
from callrecord.errors import Stop
from callrecord.recording.job_sockets import check_temporary_directory


@pytest.fixture(params=[89, 90])
def directory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The longest directory of sockets that does on Linux, and one a character longer."""
    path = "/t/".ljust(request.param - len("/pymp-01234567"), "x") + "/pymp-01234567"
    assert len(path) == request.param
    monkeypatch.setattr(checked, "get_temp_dir", lambda: path)
    monkeypatch.setattr(checked, "_LONGEST_PATH", 107)
    return Path(path)


def test_a_path_that_is_too_long_stops_with_one_line(directory: Path) -> None:
    options = {"multiprocessing_context": "forkserver"}
    if len(str(directory)) == 89:
        check_temporary_directory(options)
        return
    with pytest.raises(Stop, match=r"^TMPDIR=/t/x+ is 1 characters too long for the sockets"):
        check_temporary_directory(options)


@pytest.mark.usefixtures("directory")
def test_jobs_that_need_no_socket_are_not_concerned() -> None:
    check_temporary_directory({"multiprocessing_context": "spawn"})
    check_temporary_directory({"job_executor_type": JobExecutorType.THREAD})
