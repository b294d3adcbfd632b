"""A caller: a real participant with a voice and an ear, driven by code."""

from local.caller.errors import CallerError, NobodyAnsweredError, TooLateError
from local.caller.participant import Caller
from local.caller.server import Server
from local.caller.voice import Voice

__all__ = ["Caller", "CallerError", "NobodyAnsweredError", "Server", "TooLateError", "Voice"]
