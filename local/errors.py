"""Errors of the local stack.

LocalError
├── SettingsError   an option, file or variable is invalid; says what to change
└── StartError      a part did not start; has the end of its log
"""


class LocalError(Exception):
    """Base of the local stack's errors; its text is one message for the user."""

    exit_code = 1


class SettingsError(LocalError):
    """A bad option, file or environment variable."""

    exit_code = 2


class StartError(LocalError):
    """A part of the stack did not start, or exited."""
