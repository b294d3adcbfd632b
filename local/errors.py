"""What can go wrong with the local stack, and how it is told.

LocalError
├── SettingsError   the user asked for something impossible; says what to change
└── StartError      a part did not start; carries the end of its log
"""


class LocalError(Exception):
    """Any failure of the local stack; its text is one clear message for people."""

    exit_code = 1


class SettingsError(LocalError):
    """A bad option, file or environment variable."""

    exit_code = 2


class StartError(LocalError):
    """A part of the stack did not start, or stopped by itself."""
