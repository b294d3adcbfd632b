"""Become another program that dies with the one that started it.

Run by path, isolated: ``python -I -S launch.py PARENT SIGNAL UID:GID PROGRAM [ARGUMENT ...]``.
Only the standard library is imported, since this runs once for every child process.

The order matters: Linux forgets the parent-death signal when a process changes its user, so the
user is changed first; and the parent may die before the signal is asked for, so it is looked at
afterwards.
"""

import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change user if asked, tie this process's life to its parent's, and exec the program."""
    parent, signal_number, owner, *command = sys.argv[1:]
    linux = sys.platform == "linux"
    if linux:
        import ctypes  # before the change of user, who may not reach the library

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
