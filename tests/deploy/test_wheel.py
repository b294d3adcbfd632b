"""The library as a wheel, in a fresh environment, beside somebody's own agent.py and db.py."""

import os
import subprocess
from pathlib import Path

import pytest

from local.places import PROJECT
from tests.deploy.build import UV

FILES = sorted(path.name for path in (PROJECT / "migrations").glob("*.sql"))


@pytest.fixture(scope="module")
def bin_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what it needs, nothing else."""
    place = tmp_path_factory.mktemp("wheel")
    _run(UV, "build", "-q", "--wheel", "--out-dir", str(place), str(PROJECT))
    (wheel,) = place.glob("callrecord-*.whl")
    _run(UV, "venv", "-q", str(place / "venv"))
    python = place / "venv" / "bin" / "python"
    _run(UV, "pip", "install", "-q", "--python", str(python), str(wheel))
    return python.parent


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory with modules of the names that ours have in this repository."""
    for name in ("agent", "db", "local"):
        (tmp_path / f"{name}.py").write_text("NAME = 'theirs'\n")
    return tmp_path


def test_it_is_imported_beside_their_modules(bin_directory: Path, theirs: Path) -> None:
    """And brings no plugin, and no LiveKit before it is asked to record."""
    code = (
        "import sys, callrecord.operator.main, agent, db, local; "
        "assert {agent.NAME, db.NAME, local.NAME} == {'theirs'}; "
        "assert 'livekit' not in sys.modules; "
        "from callrecord import RecordingServer, record; "
        "print(record.__name__, RecordingServer.__name__, callrecord.__file__)"
    )
    done = _run(str(bin_directory / "python"), "-c", code, cwd=theirs)
    name, server, place = done.stdout.split()
    assert (name, server) == ("record", "RecordingServer")
    assert Path(place).is_relative_to(bin_directory.parent)


def test_it_migrates(bin_directory: Path, theirs: Path, empty_database_url: str) -> None:
    program = str(bin_directory / "callrecord")
    done = _run(program, "migrate", cwd=theirs, DATABASE_URL=empty_database_url)
    *applied, routines, _ = done.stdout.splitlines()
    assert sorted(applied) == [f"applied {name}" for name in FILES]  # what moves rows comes last
    assert routines == "applied the routines"
    assert done.stdout.splitlines()[-1].startswith("schema version ")


def _run(*command: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    # Not this project's own environment, which holds the same package.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=inherited | env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done
