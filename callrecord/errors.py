"""Errors by what the caller can do about them.

VoiceError
├── Transient   try the same again, after a pause
│   ├── Locked    somebody holds a lock on a row of it: go on with the others
│   └── Unusable  nor will it work until a person has changed something: alert
├── Hold        keep it and try slowly: somebody has to change something first
├── Refused     this row can never be stored; keep it aside and go on
└── Stop        nothing to try: a person has to change a setting or run a command
"""


class VoiceError(Exception):
    """Base of every error that this project raises on purpose.

    Attributes:
        sqlstate: Five characters, as Postgres reported it; empty if it did not.
    """

    def __init__(self, message: str = "", *, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Transient(VoiceError):  # noqa: N818 - named for what to do, not for what happened
    """The database is away, busy or failing over: retry with back-off."""


class Locked(Transient):
    """Somebody else holds a lock on one of the rows for longer than lock_timeout."""


class Unusable(Transient):
    """The database, or what stands before it, refuses the login, the database's name or TLS.

    No waiting mends that, so a command or a worker that starts ends with it. One that runs keeps
    what it has and goes on trying: somebody may be changing the password just now.
    """


class Hold(VoiceError):  # noqa: N818
    """The database answers, but its schema or rights do not fit: hold, alert, retry slowly."""


class Refused(VoiceError):  # noqa: N818
    """The database will never take this row (SQLSTATE class 22, 23, 54)."""


class Stop(VoiceError):  # noqa: N818
    """One line for a person, which says what to change. Commands end with exit code 2."""
