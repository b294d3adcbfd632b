"""Errors on the caller's side of a call."""

from local.errors import LocalError


class CallerError(LocalError):
    """The call did not go as asked; the message names what was waited for or refused."""


class TooLateError(CallerError):
    """What was waited for did not happen before its deadline."""


class NobodyAnsweredError(TooLateError):
    """No agent joined the room in time."""
