"""The persona's class; under `dev` an edit of its file counts from the next call on."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from agent.call.persona import Persona

MODULE = "agent.assistant"

_seen: dict[str, tuple[int, int]] = {}


def load_assistant(*, fresh: bool = False) -> Callable[[], Persona]:
    """Return the class `Assistant` of the persona's file.

    Args:
        fresh: Read the file again if it has changed since this process has read it.

    Raises:
        Exception: Whatever is wrong with the file.
    """
    status = Path(__file__).with_name("assistant.py").stat()
    stamp = (status.st_mtime_ns, status.st_size)
    module = sys.modules.get(MODULE)
    if module is None:
        module = importlib.import_module(MODULE)
    elif fresh and stamp != _seen.get(MODULE):
        module = importlib.reload(module)
    _seen[MODULE] = stamp
    assistant: Callable[[], Persona] = module.Assistant
    return assistant
