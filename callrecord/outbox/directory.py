"""The outbox directory: one subdirectory a worker, named by a uuid made once, with a lock.

A worker that starts takes a subdirectory whose lock is free, so that a restarted container finds
its own leftovers; further free ones, of workers that died, it adopts and ships as well.
"""

import contextlib
import os
import time
import uuid
from pathlib import Path

from callrecord.errors import Stop
from callrecord.events import CallStarted, encode
from callrecord.outbox import locks
from callrecord.outbox.local_disk import check_local
from callrecord.outbox.writer import FULL, RESERVE, SUFFIX, UNBORN
from callrecord.privacy import private_logger

logger = private_logger("voice.outbox")

LOCK = "worker.lock"
ACCEPTED = ".accepted"

UNBORN_S = 60.0
"""Age at which a file without its final name is nobody's."""

_TRIES = 10


def note_path(directory: Path, job_id: str) -> Path:
    """Return where the note of an accepted job stands in a worker's subdirectory."""
    return directory / f"{job_id}{ACCEPTED}"


class WorkerDirectory:
    """A worker's subdirectory, held by its lock."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.worker_id = uuid.UUID(path.name)
        self._lock_fd = lock_fd

    def files(self) -> list[Path]:
        """Return the outbox files in it, oldest name first."""
        return self._named(SUFFIX)

    def note_accepted(self, header: CallStarted) -> Path:
        """Write down a job that was accepted, until its own outbox file stands.

        A job that dies before its first append would else leave nothing behind.
        """
        path = note_path(self.path, header.job_id)
        with open(path, "wb", opener=_private) as file:
            file.write(encode(header))
        return path

    def forget_accepted(self, note: Path) -> None:
        """Take the note of a job back that was given to somebody else."""
        note.unlink(missing_ok=True)

    def accepted(self) -> list[Path]:
        """Return the notes of accepted jobs."""
        return self._named(ACCEPTED)

    def release(self, *, remove_if_empty: bool = False) -> None:
        """Give the lock up; an adopted directory that was shipped empty can be removed."""
        if remove_if_empty:
            with contextlib.suppress(OSError):  # gone, or somebody's file in it: theirs to keep
                self._remove_empty()
        locks.close(self._lock_fd)

    def _remove_empty(self) -> None:
        for path in self.path.glob(f".*{SUFFIX}{UNBORN}"):
            # Of a writer that was killed while it made its file; a living one needs no minute.
            if time.time() - path.stat().st_mtime > UNBORN_S:
                path.unlink()
        if {path.name for path in self.path.iterdir()} <= {LOCK, RESERVE}:
            (self.path / RESERVE).unlink(missing_ok=True)
            (self.path / LOCK).unlink()
            self.path.rmdir()

    def _named(self, suffix: str) -> list[Path]:
        # Regular files only: opening a pipe that somebody put there would wait for ever.
        with os.scandir(self.path) as entries:
            return sorted(
                self.path / entry.name
                for entry in entries
                if entry.name.endswith(suffix) and entry.is_file(follow_symlinks=False)
            )


class OutboxHome:
    """The directory that AGENT_OUTBOX_DIR names, shared by all workers of a host."""

    def __init__(self, root: Path) -> None:
        """Prepare the directory.

        Raises:
            Stop: It can't be written, lies on a network file system, where flock is no proof, or
                this system has no locks. A disk that is only full is accepted: shipping frees it.
        """
        self.root = root
        locks.require_locks()
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            _probe(root)
        except OSError as error:
            if error.errno not in FULL:
                raise self._not_writable(error) from error
            logger.error("outbox's disk is full", extra={"directory": str(root)})  # noqa: TRY400
        check_local(root, f"AGENT_OUTBOX_DIR={root}")

    def take(self) -> WorkerDirectory:
        """Take the first free subdirectory, or make one.

        Raises:
            Stop: None can be made.
        """
        for _ in range(_TRIES):
            free = self.adopt(limit=1)
            if free:
                return free[0]
            path = self.root / str(uuid.uuid4())
            try:
                path.mkdir(mode=0o700)
            except OSError as error:
                raise self._not_writable(error) from error
            directory = _lock(path)
            if directory is not None:  # else another worker was quicker to adopt what we made
                return directory
        raise Stop(f"AGENT_OUTBOX_DIR={self.root}: no subdirectory can be locked, see the log")

    def for_one_job(self) -> Path:
        """Return a subdirectory for a job whose worker has none; it may be gone any moment.

        It takes no lock: the call's own file has one, and who ships a subdirectory, or adopts it
        one day, ships all files in it. One that is shipped now is preferred.
        """
        free = None
        for path in self._subdirectories():
            if not os.access(path, os.W_OK | os.X_OK):
                continue
            directory = _lock(path)
            if directory is None:
                return path
            directory.release()
            free = path
        logger.warning(
            "nothing ships this outbox yet: events wait on disk, run `callrecord ship`",
            extra={"directory": str(self.root)},
        )
        if free is None:
            free = self.root / str(uuid.uuid4())
            free.mkdir(mode=0o700)
        return free

    def adopt(self, limit: int | None = None) -> list[WorkerDirectory]:
        """Lock and return subdirectories that no worker holds."""
        found: list[WorkerDirectory] = []
        for path in self._subdirectories():
            if limit is not None and len(found) == limit:
                break
            if directory := _lock(path):
                found.append(directory)
        return found

    def _not_writable(self, error: OSError) -> Stop:
        where = f"AGENT_OUTBOX_DIR={self.root}"
        return Stop(f"{where} can't be written ({error.strerror}): name another")

    def _subdirectories(self) -> list[Path]:
        return sorted(path for path in self.root.iterdir() if _is_uuid(path.name) and path.is_dir())


def _probe(root: Path) -> None:
    probe = root / f".probe-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"x")
    finally:
        probe.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    # Whatever the umask: what the front end knows of a caller is in it.
    return os.open(path, flags, 0o600)


def _is_uuid(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True


def _lock(path: Path) -> WorkerDirectory | None:
    try:
        fd = os.open(path / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except FileNotFoundError:  # its last owner removed it just now
        return None
    except OSError as error:  # not ours to read: another user's, or no lock file
        logger.warning(
            "outbox of a worker can't be locked, left alone",
            extra={"outbox": path.name, "error": str(error)},
        )
        return None
    try:
        same = locks.try_lock(fd) and os.fstat(fd).st_ino == (path / LOCK).stat().st_ino
    except FileNotFoundError:
        same = False
    if not same:
        locks.close(fd)
        return None
    return WorkerDirectory(path, fd)
