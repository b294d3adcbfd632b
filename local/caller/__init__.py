"""A caller: a real participant with a voice and an ear, driven by code."""

from local.caller.errors import CallerError, NobodyAnsweredError, TooLateError
from local.caller.participant import Caller
from local.caller.server import Role, Server
from local.caller.voice import Voice

__all__ = [
    "Caller",
    "CallerError",
    "NobodyAnsweredError",
    "Role",
    "Server",
    "TooLateError",
    "Voice",
]
