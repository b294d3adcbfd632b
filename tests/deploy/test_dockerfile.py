"""The image, built by its very steps, holds the worker and runs as a stranger to its own files."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.places import PROJECT
from local.ports import free_port
from local.procs import Child
from local.stack import running
from tests.deploy.build import Build, Image, interpreter, uv_sync
from tests.deploy.dockerfile import health_command, read, start_command, text_of
from tests.deploy.dockerignore import Context
from tests.waiting import until

STAGES = read(PROJECT / "Dockerfile")
FINAL = STAGES[-1]
START = start_command(FINAL)
HEALTH = health_command(FINAL)
OUTBOX = "/var/lib/voice/outbox"
SPEECH = "/var/lib/voice/speech"


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The built image, in a folder that any user may enter."""
    place = Path(tempfile.mkdtemp(prefix="image-"))
    place.chmod(0o755)
    try:
        yield Build(Context(PROJECT), place, interpreter(STAGES)).run(STAGES)
    finally:
        shutil.rmtree(place)


def test_health_is_asked_for_on_the_exposed_port(image: Image) -> None:
    assert text_of(FINAL, "EXPOSE") == image.env["AGENT_HTTP_PORT"]


def test_user_is_a_number_and_owns_outbox_and_speech_alone(image: Image) -> None:
    """Kubernetes proves by the number that it is not root."""
    uid, gid = (int(part) for part in image.user.split(":"))
    assert uid > 0
    assert gid > 0
    assert image.env["AGENT_OUTBOX_DIR"] == str(image.path(OUTBOX))
    assert image.env["AGENT_SPEECH_CACHE_DIR"] == str(image.path(SPEECH))
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another user, and become one")
    assert image.path(OUTBOX).stat().st_uid == uid
    asked = ["/app", "/opt/venv", OUTBOX, SPEECH]
    writes = f"import os; print(*(os.access(p, os.W_OK) for p in {asked}))"
    done = image.run("python", "-c", image.here(writes))
    assert done.stdout.split() == ["False", "False", "True", "True"]


def test_packages_are_those_of_the_lock_without_dev_and_local(image: Image) -> None:
    """None is missing, and none is there besides."""
    done = uv_sync(PROJECT, "--check", UV_PROJECT_ENVIRONMENT=str(image.path("/opt/venv")))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["piper", "faster_whisper", "xllamacpp", "pytest", "mypy", "uv", "local", "tests"]
)
def test_nothing_of_the_workshop_can_be_imported(image: Image, name: str) -> None:
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({name!r}) is not None)"
    assert image.run("python", "-c", code).returncode == 0


def test_bytecode_is_there_since_nobody_could_write_it_later(image: Image) -> None:
    for name in ("agent/server.py", "callrecord/shipping/shipper.py"):
        module = image.path(f"/app/{name}")
        assert list(module.parent.glob(f"__pycache__/{module.stem}.*.pyc"))


def test_no_plugin_has_files_to_download(image: Image) -> None:
    """So the Dockerfile needs no such step; a plugin that has some needs one."""
    code = """if True:
        import agent.__main__
        from livekit.agents import Plugin
        plugins = Plugin.registered_plugins
        print(len(plugins), *(p.package for p in plugins
              if type(p).download_files is not Plugin.download_files))
    """
    count, *with_files = image.run("python", "-c", code).stdout.split()
    assert int(count) >= 2
    assert with_files == []


def test_nothing_is_reported_to_the_maker_of_the_vad_runtime(image: Image) -> None:
    """Were it on, an id would be written beneath the home directory."""
    code = "from livekit.plugins import silero; silero.VAD.load()"
    home = image.path("/home")
    home.mkdir()
    home.chmod(0o777)
    done = image.run("python", "-c", code, HOME=str(home))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.iterdir()) == []


def test_help(image: Image) -> None:
    done = image.run(*START, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    assert image.run("python", "-m", "db", "--help").returncode == 0


def test_start_without_a_database_says_so_in_one_line(image: Image) -> None:
    livekit = {"URL": "ws://127.0.0.1:1", "API_KEY": "key", "API_SECRET": "secret"}
    settings = {f"LIVEKIT_{name}": value for name, value in livekit.items()}
    done = image.run(*START, **settings, OPENAI_API_KEY="key")
    assert done.returncode == 2
    assert done.stderr.startswith("agent: DATABASE_URL is not set")
    assert done.stderr.count("\n") == 1


def test_nobody_there_is_unhealthy(image: Image) -> None:
    done = image.run(*HEALTH, AGENT_HTTP_PORT=str(free_port()))
    assert done.returncode == 1


@pytest.mark.room
async def test_container_migrates_serves_and_drains(
    image: Image, empty_database_url: str, tmp_path: Path
) -> None:
    """The order of an upgrade, in the image alone: migrate, start, healthy, SIGTERM, exit 0."""
    migrated = image.run("python", "-m", "db", "migrate", DATABASE_URL=empty_database_url)
    assert migrated.returncode == 0, migrated.stderr
    async with running(ai=False, postgres=False) as stack:
        settings = {
            **stack.env(),
            "DATABASE_URL": empty_database_url,
            "OPENAI_API_KEY": "none",
            "AGENT_HTTP_PORT": str(free_port()),
            "AGENT_NAME": "container",
        }
        log = tmp_path / "worker.log"
        env = image.environment(**settings)
        program = shutil.which(START[0], path=env["PATH"])
        assert program is not None
        worker = Child(
            "worker",
            [program, *START[1:]],
            log=log,
            env=env,
            cwd=image.path(image.workdir),
            owner=image.owner,
            stop_signal=signal.Signals[text_of(FINAL, "STOPSIGNAL")],
            grace_s=30,
        )
        await worker.start()
        try:
            await until(
                lambda: not worker.running or b"registered worker" in log.read_bytes(),
                timeout_s=60,
                what="the worker to register",
            )
            assert worker.running, worker.tail()
            healthy = image.run(*HEALTH, **settings)
            assert healthy.returncode == 0, healthy.stderr
            files = [path.stat().st_uid for path in image.path(OUTBOX).iterdir()]
            assert files == [(image.owner or (os.geteuid(), 0))[0]]
        finally:
            await worker.stop()
    assert await worker.wait() == 0, worker.tail()
