"""What can be said of the image before it is built."""

import shutil
import subprocess
from pathlib import Path

import pytest

from local.places import PROJECT
from tests.deploy.build import interpreter, uv_sync
from tests.deploy.dockerfile import health_command, read, start_command, text_of
from tests.deploy.dockerignore import Context

STAGES = read(PROJECT / "Dockerfile")
FINAL = STAGES[-1]


@pytest.mark.parametrize(
    ("path", "enters"),
    [
        ("agent/server.py", True),
        ("callrecord/postgres/queries/apply_batch.sql", True),
        ("migrations/100_tables.sql", True),
        ("db/routines/batch/apply_batch.sql", True),
        ("uv.lock", True),
        (".env", False),
        ("agent/.env.local", False),
        ("agent/__pycache__/server.cpython-313.pyc", False),
        (".git/config", False),
        (".venv/bin/python", False),
        ("tests/conftest.py", False),
        ("local/stack.py", False),
        ("var/outbox/reserve", False),
    ],
)
def test_only_the_worker_enters_the_build(path: str, enters: bool) -> None:  # noqa: FBT001
    assert Context(PROJECT).lets_through(path) is enters


def test_every_process_is_started_without_a_shell_and_stopped_by_sigterm() -> None:
    """A shell as the first process would keep SIGTERM from the worker."""
    assert start_command(FINAL) == ["python", "-m", "agent", "start"]
    assert health_command(FINAL)[0] == "python"
    assert text_of(FINAL, "STOPSIGNAL") == "SIGTERM"


@pytest.mark.parametrize("platform", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"])
def test_nothing_has_to_be_compiled(platform: str, tmp_path: Path) -> None:
    """The slim base has no compiler: every package needs a wheel for the image's platforms."""
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(PROJECT / name, tmp_path)
    offline = ("--dry-run", "--offline", "--no-cache")
    image = ("--python-platform", platform, "--python", str(interpreter(STAGES)))
    done = uv_sync(tmp_path, "--no-build", *offline, *image)
    assert done.returncode == 0, done.stderr


def test_no_two_files_differ_by_case_alone() -> None:
    """On a Mac's disk they would be one file."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len({path.lower() for path in listed}) == len(listed)
