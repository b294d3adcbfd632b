"""The outbox directory: one subdirectory per worker, named by a uuid and guarded by a lock.

A starting worker claims a subdirectory whose lock is free, so a restarted container finds its own
leftovers. It also adopts and ships the unlocked subdirectories of other workers that died.
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
from callrecord.outbox.writer import FULL, RESERVE, SUFFIX, UNNAMED
from callrecord.privacy import private_logger

logger = private_logger("voice.outbox")

LOCK = "worker.lock"
ACCEPTED = ".accepted"

ABANDONED_S = 60.0
"""Age after which a file that never got its final name is abandoned."""

_TRIES = 10


def note_path(directory: Path, job_id: str) -> Path:
    """Return the path of an accepted job's note in a worker's subdirectory."""
    return directory / f"{job_id}{ACCEPTED}"


class WorkerDirectory:
    """A worker's subdirectory, whose lock we hold."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.worker_id = uuid.UUID(path.name)
        self._lock_fd = lock_fd

    def files(self) -> list[Path]:
        """Return its outbox files, sorted by name."""
        return self._named(SUFFIX)

    def note_accepted(self, header: CallStarted) -> Path:
        """Write a note of an accepted job, which is kept until the job has its own outbox file.

        Without it, a job that dies before its first append would leave no trace.
        """
        path = note_path(self.path, header.job_id)
        with open(path, "wb", opener=_private) as file:
            file.write(encode(header))
        return path

    def forget_accepted(self, note: Path) -> None:
        """Remove the note of a job that LiveKit assigned to another worker."""
        note.unlink(missing_ok=True)

    def accepted(self) -> list[Path]:
        """Return the notes of accepted jobs."""
        return self._named(ACCEPTED)

    def release(self, *, remove_if_empty: bool = False) -> None:
        """Release the lock, and with `remove_if_empty` remove the directory if nothing is left."""
        if remove_if_empty:
            with contextlib.suppress(OSError):  # already gone, or it holds somebody else's file
                self._remove_empty()
        locks.close(self._lock_fd)

    def _remove_empty(self) -> None:
        for path in self.path.glob(f".*{SUFFIX}{UNNAMED}"):
            # Left by a writer that was killed while it made its file; that takes milliseconds.
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink()
        if {path.name for path in self.path.iterdir()} <= {LOCK, RESERVE}:
            (self.path / RESERVE).unlink(missing_ok=True)
            (self.path / LOCK).unlink()
            self.path.rmdir()

    def _named(self, suffix: str) -> list[Path]:
        # Regular files only: opening a named pipe would block forever.
        with os.scandir(self.path) as entries:
            return sorted(
                self.path / entry.name
                for entry in entries
                if entry.name.endswith(suffix) and entry.is_file(follow_symlinks=False)
            )


class OutboxHome:
    """The directory in AGENT_OUTBOX_DIR, which all workers of a host share."""

    def __init__(self, root: Path) -> None:
        """Prepare the directory.

        Raises:
            Stop: It can't be written, it is on a network file system (where flock is unreliable),
                or this system has no file locks. A full disk is accepted: shipping frees space.
        """
        self.root = root
        locks.require_locks()
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            _probe(root)
        except OSError as error:
            if error.errno not in FULL:
                raise self._not_writable(error) from error
            logger.error(  # noqa: TRY400
                "outbox disk full, free space on it", extra={"directory": str(root)}
            )
        check_local(root, f"AGENT_OUTBOX_DIR={root}")

    def take(self) -> WorkerDirectory:
        """Claim the first free subdirectory, or create one.

        Raises:
            Stop: It can't create one, or can't lock any.
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
            if directory is not None:  # None: another worker adopted it first
                return directory
        raise Stop(f"AGENT_OUTBOX_DIR={self.root}: no subdirectory can be locked, check the log")

    def for_one_job(self) -> Path:
        """Return a subdirectory for a job whose worker has none; it may be removed at any moment.

        This holds no lock: the call's own file has one, and the process that ships or adopts a
        subdirectory ships all files in it. A subdirectory that is being shipped now is preferred.
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
            "nothing ships this outbox, events wait on disk until you run `callrecord ship`",
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
        return Stop(f"{where} can't be written ({error.strerror}): set a writable directory")

    def _subdirectories(self) -> list[Path]:
        return sorted(path for path in self.root.iterdir() if _is_uuid(path.name) and path.is_dir())


def _probe(root: Path) -> None:
    probe = root / f".probe-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"x")
    finally:
        probe.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    # Regardless of the umask: the file holds the front end's data about the caller.
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
    except FileNotFoundError:  # its last owner has just removed it
        return None
    except OSError as error:  # it belongs to another user, or its lock is not a file
        logger.warning(
            "worker's outbox can't be locked and is not shipped, check its owner",
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
