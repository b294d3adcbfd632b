"""The script in force, which a test replaces while calls are running."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from local.ai import script as scripts
from local.ai.faults import Fault, Faults, Kind
from local.ai.protocol import ApiError
from local.ai.script import Script
from local.ai.transcribe_model import FixedTranscripts
from local.errors import SettingsError


class Current:
    """The script, how far it has been used up, and what it did to whom.

    ``prepare`` loads the models that a script needs, before it is in force.
    """

    def __init__(self, prepare: Callable[[Script], Awaitable[None]]) -> None:
        self._prepare = prepare
        self._served: list[dict[str, Any]] = []

    async def use(self, script: Script) -> None:
        """Put a script in force; its counts begin at nothing."""
        await self._prepare(script)
        self.script = script
        self.transcripts = None if script.stt is None else FixedTranscripts(script.stt)
        self._faults = Faults(script.faults)

    def fault(self, on: Kind, text: str = "") -> Fault | None:
        """Note a request, and tell what goes wrong with it."""
        fault = self._faults.of(on, text)
        done = fault.__struct_config__.tag if fault else None
        self._served.append({"on": on, "fault": done})
        return fault

    async def replace(self, request: web.Request) -> web.Response:
        """POST /script: from here on, this script."""
        # A page of some web site can post to this port too, but not with this type.
        if request.content_type != "application/json":
            raise ApiError("send the script as application/json", status=415)
        try:
            await self.use(scripts.parse(await request.read(), "script"))
        except SettingsError as error:
            raise ApiError(str(error)) from error
        return web.json_response({"status": "ok"})

    async def requests(self, _request: web.Request) -> web.Response:
        """GET /requests: all since the server began, and what went wrong with each."""
        return web.json_response({"requests": self._served})
