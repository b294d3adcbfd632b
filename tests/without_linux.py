"""`pytest -p tests.without_linux`: a macOS as far as it can be had here, by what that lacks.

Names of Linux alone are gone from the standard library, but for those that it was built to need
itself, and /proc from what our own code opens.
Tests marked `linux`, which are about what only Linux has, are left out.
"""

import errno
import os
import resource
import select
import signal
import socket
import sys
import sysconfig
from types import FrameType, ModuleType
from typing import Any

import pytest

from local.places import PROJECT

LACKS: dict[ModuleType, tuple[str, ...]] = {
    os: (
        "eventfd",
        "fdatasync",
        "getxattr",
        "memfd_create",
        "pidfd_open",
        "posix_fadvise",
        "posix_fallocate",
        "setresuid",
        "splice",
        "O_DIRECT",
        "O_PATH",
    ),
    resource: ("prlimit",),
    select: ("epoll",),
    signal: ("SIGRTMIN", "sigtimedwait"),
    socket: ("TCP_USER_TIMEOUT",),
}
OURS = tuple(f"{PROJECT / name}{os.sep}" for name in ("agent", "callrecord", "db", "local"))
STANDARD = ("<frozen", sysconfig.get_path("stdlib"))


def pytest_configure() -> None:
    """Take the names away, before any test is imported."""
    for module, names in LACKS.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    sys.addaudithook(_hide_proc)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is about Linux alone."""
    items[:] = [item for item in items if item.get_closest_marker("linux") is None]


def _hide_proc(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise for our own code's opening a file of /proc; psutil may go on."""
    if event == "open" and str(arguments[0]).startswith("/proc"):
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith(STANDARD):
            frame = frame.f_back
        if frame is not None and frame.f_code.co_filename.startswith(OURS):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])
