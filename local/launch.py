"""Runs a program that the kernel signals when its parent dies.

Run by path, isolated: ``python -I -S launch.py PARENT SIGNAL UID:GID PROGRAM [ARGUMENT ...]``.
It imports only the standard library, because it runs once for every child process.

The order matters. Linux clears the parent-death signal when a process changes its user, so the user
is changed first. The parent may die before the signal is set, so its pid is checked afterwards.
"""

import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change the user if given, set the parent-death signal, and exec the program."""
    parent, signal_number, owner, *command = sys.argv[1:]
    linux = sys.platform == "linux"
    if linux:
        import ctypes  # before the user changes: the new one may not be able to read the library

        libc = ctypes.CDLL(None, use_errno=True)
    if owner:
        uid, gid = (int(part) for part in owner.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if linux:
        if libc.prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != int(parent):
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - becoming the program is the purpose


if __name__ == "__main__":
    main()
