"""Errors by what the caller can do about them.

VoiceError
├── Transient   try again after a pause
│   ├── Locked    another session holds a lock on one of the rows: continue with the others
│   └── Unusable  an operator has to change something first: alert, and try again
├── Hold        an operator has to change something first: keep the rows, alert, retry slowly
├── Refused     this row can never be stored: keep it aside and continue
└── Stop        do not retry: an operator has to change a setting or run a command
"""


class VoiceError(Exception):
    """Base of all errors that this project raises.

    Attributes:
        sqlstate: The five characters that Postgres reported; empty if the error is not Postgres'.
    """

    def __init__(self, message: str = "", *, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Transient(VoiceError):  # noqa: N818 - named after the remedy
    """The database is away, busy or failing over: retry with back-off."""


class Locked(Transient):
    """Another session holds a lock on one of the rows for longer than lock_timeout."""


class Unusable(Transient):
    """The database, or a pooler before it, refuses the login, the database's name or TLS.

    A retry alone can't fix that, so a command or a starting worker stops. A running worker keeps
    its events and retries: an operator may be changing the password right now.
    """


class Hold(VoiceError):  # noqa: N818
    """The database answers, but its schema or rights are wrong: hold, alert, retry slowly."""


class Refused(VoiceError):  # noqa: N818
    """The database will never accept this row (SQLSTATE class 22, 23, 54)."""


class Stop(VoiceError):  # noqa: N818
    """One line that tells an operator what to change. Commands stop with exit code 2."""
