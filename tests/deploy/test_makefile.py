"""What `make` says on a machine that lacks something: one line that names what to install."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local.places import PROJECT

TOOLS = ("bash", "env", "git", "make", "mkdir", "rm", "sh", "sort", "tail", "touch")
NO_MODULE = """#!/bin/sh
[ "$1" = --version ] && echo "Python 3.10.13" && exit
echo "python3: No module named $2" >&2
exit 1
"""
NO_PYTHON = """#!/bin/sh
[ "$1" = --version ] && echo "uv 99.0.0" && exit
exit 2
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout's Makefile, and beside it `bin` with nothing but common tools."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    (tmp_path / "uv.lock").touch()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        place = shutil.which(tool)
        assert place
        (tmp_path / "bin" / tool).symlink_to(place)
    return tmp_path


def _program(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.write_text(script)
    path.chmod(0o755)


def _make(machine: Path) -> str:
    """Return the last line that `make demo` prints on standard output."""
    done = subprocess.run(
        [machine / "bin" / "make", "demo"],
        cwd=machine,
        env={"PATH": str(machine / "bin"), "HOME": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    return done.stdout.splitlines()[-1]


def test_without_python(machine: Path) -> None:
    assert _make(machine) == "there is no python3: install Python 3.11 or newer, or uv"


def test_without_venv_and_pip(machine: Path) -> None:
    _program(machine, "python3", NO_MODULE)
    said = _make(machine)
    assert said.startswith("uv could not be installed: install the packages python3-venv")
    assert "No module named pip" in (machine / ".cache" / "uv.log").read_text()


def test_with_a_python_that_is_too_old(machine: Path) -> None:
    _program(machine, "python3", NO_MODULE)
    _program(machine, "uv", NO_PYTHON)
    assert _make(machine) == (
        "no Python 3.11 to 3.14 found (python3 is Python 3.10.13): "
        "install one; 3.10 is past its end of life"
    )


def test_an_old_uv_is_left_alone(machine: Path) -> None:
    """It would say that the lock needs an update."""
    _program(machine, "uv", NO_PYTHON.replace("99.0.0", "0.4.18"))
    assert _make(machine).startswith("there is no python3")
