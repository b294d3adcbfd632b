"""`python -m local demo`: bad options, and stopping it half-way. Its whole run is `make demo`."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import demo
from local.errors import SettingsError


def test_a_json_file_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    demo.add_parser(parser.add_subparsers())
    args = parser.parse_args(["demo", "--json", str(tmp_path / "nowhere" / "out.json")])
    with pytest.raises(SettingsError, match=r"out\.json cannot be written") as caught:
        args.run(args)
    assert caught.value.exit_code == 2


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that Postgres can enter, which under root runs as nobody."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@pytest.mark.room
@pytest.mark.parametrize("at", ["migrations: applying", "worker: registered"])
def test_ctrl_c_leaves_neither_processes_nor_files(open_directory: Path, at: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "local", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TMPDIR": str(open_directory)},
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        seen = []
        for line in lines:
            seen.append(line)
            if at in line:
                break
        else:
            pytest.fail("".join(seen))
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        code = process.wait(30)
    assert code == 130, rest
    assert family
    assert not psutil.wait_procs(family, timeout=5)[1]
    # onnxruntime keeps one hidden file for all its processes.
    assert not [path.name for path in open_directory.iterdir() if path.name != ".ses"]
