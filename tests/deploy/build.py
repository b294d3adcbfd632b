"""Builds the image without a container engine: its very steps, in a folder instead of `/`.

What stands for what:
    the base image's Python: a fresh venv with pip, made by uv from an interpreter at hand
    the root of a stage: a folder, moved away when the next stage begins
    absolute paths of ours in a step (/app, /opt, /var): the same under that folder
    the build's cache mounts: the caches of this machine
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.dockerfile import Instruction, Stage
from tests.deploy.dockerignore import Context

UV = os.environ.get("UV", "uv")
"""`uv run` names itself here; the Makefile's own uv is not on PATH."""

WORKER_ONLY = ("--no-default-groups", "--group", "worker", "--no-install-project")

_OURS = re.compile(r"(?<![\w./-])/(?=(?:app|opt|var)\b)")


@dataclass
class Image:
    """What a stage has come to: the folder that is its `/`, and how to run in it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"

    def path(self, inside: str) -> Path:
        """Return where a path of the image lies here."""
        return self.root / inside.lstrip("/")

    def here(self, text: str) -> str:
        """Return the text with the image's absolute paths as they are here."""
        return _OURS.sub(f"{self.root}/", text)

    @property
    def owner(self) -> tuple[int, int] | None:
        """User and group that a container runs as; None if we may not become somebody else."""
        uid, gid = self.user.split(":")
        return (int(uid), int(gid)) if os.geteuid() == 0 else None

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the whole environment of a container started with these settings."""
        return {"HOME": "/", **self.env, **settings}

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a container would: its user, folder and environment, no other."""
        uid, gid = self.owner or (None, None)
        env = self.environment(**settings)
        program = shutil.which(command[0], path=env["PATH"])
        assert program is not None, f"{command[0]} is not in the image"
        return subprocess.run(
            [program, *(self.here(word) for word in command[1:])],
            cwd=self.path(self.workdir),
            env=env,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


class Build:
    """Runs the stages of a Dockerfile, one after the other."""

    def __init__(self, context: Context, place: Path, python: Path) -> None:
        """`place`: an empty folder that every user may enter; `python`: for the base image."""
        self._context = context
        self._place = place
        self._base = place / "base"
        self._done: dict[str, Image] = {}
        subprocess.run([UV, "venv", "-q", "--seed", "-p", python, self._base], check=True)

    def run(self, stages: list[Stage]) -> Image:
        """Run all stages and return the last one's image."""
        image = Image(self._place / "none")
        for stage in stages:
            if image.root.exists():
                image.root = image.root.rename(self._place / f"stage-{len(self._done)}")
            image = self._stage(stage)
            self._done[stage.name] = image
        return image

    def _stage(self, stage: Stage) -> Image:
        parent = self._done.get(stage.source)
        image = Image(self._place / "root", {"PATH": f"{self._base}/bin:/usr/bin:/bin"})
        image.root.mkdir(mode=0o755)
        if parent is not None:
            assert not any(parent.root.iterdir()), "only an empty stage is built upon here"
            image.env, image.workdir, image.user = dict(parent.env), parent.workdir, parent.user
        for step in stage.instructions:
            self._step(step, image)
        return image

    def _step(self, step: Instruction, image: Image) -> None:
        match step.name:
            case "ENV":
                for word in step.words:
                    name, _, value = word.partition("=")
                    image.env[name] = _expand(image.here(value), image.env)
            case "WORKDIR":
                image.workdir = step.text
                image.path(step.text).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(step, image)
            case "RUN":
                self._run(step, image)
            case "USER":
                image.user = step.text
            case "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "CMD":
                pass  # for the container, not for the build
            case other:
                raise NotImplementedError(f"teach tests/deploy/build.py what {other} does")

    def _copy(self, step: Instruction, image: Image) -> None:
        *sources, target = step.words
        to = image.path(os.path.join(image.workdir, target))  # noqa: PTH118 - keeps a last slash
        for source in sources:
            if "from" in step.flags:
                origin = self._done[step.flags["from"]].path(source)
                # Links for speed: nobody writes to either afterwards.
                shutil.copytree(
                    origin, to, symlinks=True, copy_function=os.link, dirs_exist_ok=True
                )
            else:
                self._copy_from_context(source, to, into=target.endswith("/"))
        if owner := step.flags.get("chown"):
            _chown(to, owner)

    def _copy_from_context(self, source: str, to: Path, *, into: bool) -> None:
        files = self._context.files(source)
        assert files, f".dockerignore keeps {source} out of the build"
        for file in files:
            target = to / Path(file).name if into else to / Path(file).relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._context.folder / file, target)

    def _run(self, step: Instruction, image: Image) -> None:
        # The machine's own ways to its package index, and nothing of this very environment.
        apart = ("AGENT_", "PYTHON", "UV_PYTHON", "UV_PROJECT", "VIRTUAL_ENV")
        host = {k: v for k, v in os.environ.items() if not k.startswith(apart)}
        command = step.exec_form or ["/bin/sh", "-c", image.here(step.text)]
        done = subprocess.run(
            command,
            cwd=image.path(image.workdir),
            env={**host, **image.env},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"RUN {step.text}\n{done.stdout}{done.stderr}"


def interpreter(stages: list[Stage]) -> Path:
    """Return a Python: of the base image's version if it is here, that of the tests else.

    As root, only one that another user can run too.
    """
    version = stages[0].source.removeprefix("python:").partition("-")[0]
    found = subprocess.run(
        [UV, "python", "find", "--no-project", "--system", version],
        capture_output=True,
        text=True,
        check=False,
    )
    first = [Path(found.stdout.strip())] if found.returncode == 0 else []
    for path in (*first, Path(sys.base_prefix, "bin/python3"), Path("/usr/bin/python3")):
        if path.exists() and (os.geteuid() != 0 or _open_to_all(path)):
            return path
    raise FileNotFoundError("no Python that another user than root can run")


def uv_sync(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `uv sync` as the Dockerfile does, with further options."""
    # Not this run's own Python, nor its environment.
    ours = {"UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV"}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [UV, "sync", "--locked", *WORKER_ONLY, *options],
        cwd=folder,
        env={**inherited, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def _open_to_all(path: Path) -> bool:
    real = path.resolve()
    return all(each.stat().st_mode & 0o001 for each in (real, *real.parents))


def _chown(path: Path, owner: str) -> None:
    if os.geteuid() != 0:
        return
    uid, gid = (int(part) for part in owner.split(":"))
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, gid, follow_symlinks=False)


def _expand(value: str, env: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda match: env[match[1]], value)
