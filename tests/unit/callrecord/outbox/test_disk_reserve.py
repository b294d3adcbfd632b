"""Room on the outbox's disk: some is kept for running calls, and a refusal is told."""

import os
import resource
import shutil
import signal
from pathlib import Path

import pytest

from callrecord.outbox.disk_reserve import RESERVE_BYTES, DiskReserve
from callrecord.outbox.writer import RESERVE


def test_a_reserve_of_real_bytes_is_made_and_removed(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path, low_bytes=0)
    reserve.adjust()
    status = (tmp_path / RESERVE).stat()
    assert status.st_size == RESERVE_BYTES
    assert status.st_blocks * 512 >= RESERVE_BYTES
    assert not reserve.nearly_full()
    reserve.remove()
    reserve.remove()
    assert list(tmp_path.iterdir()) == []


def test_no_reserve_is_made_and_no_call_taken_when_space_is_low(tmp_path: Path) -> None:
    reserve = DiskReserve(tmp_path, low_bytes=1 << 62)
    reserve.adjust()
    assert reserve.nearly_full()
    assert list(tmp_path.iterdir()) == []


def test_the_reserve_is_given_back_when_the_disk_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = DiskReserve(tmp_path, low_bytes=0)
    reserve.adjust()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=4096))
    reserve.adjust()
    assert not (tmp_path / RESERVE).exists()
    reserve.adjust()
    monkeypatch.undo()
    reserve.adjust()
    assert (tmp_path / RESERVE).exists()


def test_half_a_reserve_is_not_left_behind(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:  # a quota: there is space, but not for us
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            DiskReserve(tmp_path, low_bytes=0).adjust()
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert list(tmp_path.iterdir()) == []
